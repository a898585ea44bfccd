package disk

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// pieces are what lexers stumble over.
var pieces = []string{
	"/*", "*/", "//", "\"", "'", "\\", "\\\n", "\\ \n", "\n", "\n", "\n", " ", "R\"(", ")\"", "R\"x(", ")x\"", "u8R\"(", "LR", "1'0", "1'", "0x1p-", "e+", ".5'", "u8'c'", "'\\''", "\"\\\"\"",
	"#if 0\n", "#if 1\n", "#else\n", "#endif\n", "#define A ", "#define A(x) ", "#error it isn't\n", "#", "%:", "??/\n", "??=", "\r\n", "\f", "\t", "a", "it isn't", "#pragma x\n", "/\\\n*", "*\\\n/", "/\\\n/", "<", ">", "(", ")", "\\u00e9", "é", "$",
}

// Whatever stands between them, what the compiler includes was found.
func TestNothingHidesAnInclude(t *testing.T) {
	eachCompiler(t, func(t *testing.T, cc, cxx string) {
		files := map[string]string{}
		for i := range 8 {
			files[fmt.Sprintf("h%d.h", i)] = ""
		}
		dir := written(t, files)
		in := inputs()
		read, all, scanned := 0, 0, 0
		rapid.Check(t, func(r *rapid.T) {
			var b strings.Builder
			for i := range 8 {
				soup := rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 6).Draw(r, "soup")
				include := rapid.SampledFrom([]string{"\n#include \"h%d.h\"\n", "#include \"h%d.h\"\n", "\n %%: /* c */ include \\\n \"h%d.h\" // d\n"}).Draw(r, "include")
				fmt.Fprintf(&b, "%s"+include, strings.Join(soup, ""), i)
			}
			driver := rapid.SampledFrom([]string{cc + " -std=gnu11 -x c", cc + " -std=c99 -x c", cc + " -std=c89 -x c", cxx + " -std=c++17 -x c++", cxx + " -std=c++98 -x c++"}).Draw(r, "driver")
			if err := os.WriteFile(filepath.Join(dir, "a"), []byte(b.String()), 0o644); err != nil {
				r.Fatal(err)
			}
			c := command(t, append(strings.Fields(driver), "-c", "a")...)
			want, err := in.depends(t.Context(), c, dir)
			if err != nil {
				return // it would not compile
			}
			a := of(t, in, c, dir)
			if a.Rung == Scanned {
				scanned++
			}
			for _, h := range want {
				if p := filepath.Join(dir, h); h[0] != '/' && !slices.Contains(a.Files, p) {
					r.Fatalf("%s: without %s\n%s", driver, h, b.String())
				}
			}
			read, all = read+len(want), all+len(a.Files)
		})
		t.Logf("%d scanned: %d files where the compiler reads %d", scanned, all, read)
	})
}
