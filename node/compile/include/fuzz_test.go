package include_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/buildnet/buildnet/node/compile/include"
)

// What a compiler says of itself is read as it is written: what was understood,
// said again, is understood alike.
func FuzzParseOwn(f *testing.F) {
	f.Add("ignoring nonexistent directory \"/usr/x/include\"\n#include \"...\" search starts here:\n#include <...> search starts here:\n /usr/lib/gcc/include\n /usr/include\nEnd of search list.\n")
	f.Add("#include <...> search starts here:\r\n /usr/include (framework directory)\r\nEnd of search list.")
	f.Fuzz(func(t *testing.T, answer string) {
		own, ok := include.ParseOwn(answer)
		if !ok {
			return
		}
		var again strings.Builder
		for _, m := range own.Missing {
			again.WriteString("ignoring nonexistent directory \"" + m + "\"\n")
		}
		again.WriteString("#include <...> search starts here:\n")
		for _, d := range own.Dirs {
			if !strings.HasPrefix(d, "/") {
				t.Fatalf("it looks in %q", d)
			}
			again.WriteString(" " + d + "\n")
		}
		again.WriteString("End of search list.\n")
		if read, ok := include.ParseOwn(again.String()); !ok || cmp.Diff(own, read) != "" {
			t.Fatalf("%+v, and said again %+v", own, read)
		}
	})
}

// A scan of anything ends, and says twice the same: with what it knows already, and
// in another scanner.
func FuzzScan(f *testing.F) {
	f.Add("#include \"x.h\"\n#include A\n", "#pragma once\n#define A <y.h>\n#include_next <x.h>\n", ".incbin \"a.c\"\n")
	f.Add("#import <x.h>\n#if __has_include(A)\n#endif\n", "#define A B\n#define B A\n", "#embed \"x.h\"\n")
	f.Fuzz(func(t *testing.T, source, header, other string) {
		m := newMemory(files{"/w/a.c": source, "/w/i/x.h": header, "/w/j/x.h": other, "/w/y.h": other, "/w/j/sub/y.h": header})
		s := include.New(m, include.Options{})
		for _, command := range []string{"gcc -Ii -Ij -c a.c", "clang -std=c89 -iquote j -include y.h -Ii -c a.c", "gcc -x assembler-with-cpp -Ij -c a.c", "gcc -x assembler -Ij -c a.c"} {
			first := s.Scan(unit(command))
			if diff := cmp.Diff(first, s.Scan(unit(command))); diff != "" {
				t.Fatalf("%s: %s", command, diff)
			}
			if diff := cmp.Diff(first, include.New(m, include.Options{}).Scan(unit(command))); diff != "" {
				t.Fatalf("%s, in another scanner: %s", command, diff)
			}
			if len(first.Files) == 0 || first.Files[0] != "/w/a.c" {
				t.Fatalf("%s reads %v", command, first.Files)
			}
		}
	})
}
