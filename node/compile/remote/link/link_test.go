package link_test

import (
	"errors"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/buildnet/buildnet/node/compile"
	"github.com/buildnet/buildnet/node/compile/remote/link"
)

// read reads a command in an environment of NAME=VALUE.
func read(t testing.TB, command string, env ...string) *link.Link {
	t.Helper()
	get := func(name string) (string, bool) {
		for _, e := range env {
			if v, ok := strings.CutPrefix(e, name+"="); ok {
				return v, true
			}
		}
		return "", false
	}
	c, err := compile.Read(strings.Fields(command), compile.Setting{Getenv: get})
	if err != nil {
		t.Fatal(err)
	}
	return link.Read(c, link.Setting{Getenv: get, Response: func(p string) ([]byte, error) {
		if p == "endless" {
			return []byte("@endless"), nil
		}
		if p == "words" {
			return []byte("--as-needed x.o -lx"), nil
		}
		return nil, os.ErrNotExist
	}})
}

func TestRead(t *testing.T) {
	for command, want := range map[string]link.Link{
		"gcc a.o -o p":   {Files: []string{"a.o"}, Outputs: []string{"p"}},
		"gcc a.o libx.a": {Files: []string{"a.o", "libx.a"}, Outputs: []string{"a.out"}},
		"gcc a.o -Lx -L y -lfoo -l bar -Wl,-lbaz -Wl,--library=q -Wl,--library-path,z": {
			Files: []string{"a.o"}, Dirs: []string{"x", "y", "z"}, Libraries: []string{"foo", "bar", "baz", "q"}, Outputs: []string{"a.out"}},
		"gcc a.o -Wl,-rpath,/x:y -Wl,-rpath -Wl,z -Wl,-rpath-link=w -Xlinker --rpath=v": {
			Files: []string{"a.o"}, Runtime: []string{"/x", "y", "z", "w", "v"}, Outputs: []string{"a.out"}},
		"gcc a.o -T s.ld -Wl,-T,t.ld -Wl,--script=u.ld -Wl,-Tv.ld -Wl,-dT,w.ld": {
			Files: []string{"a.o"}, Scripts: []string{"s.ld", "t.ld", "u.ld", "v.ld", "w.ld"}, Outputs: []string{"a.out"}},
		"gcc a.o -Wl,--version-script=v -Wl,-dynamic-list -Wl,d -Wl,--retain-symbols-file,r": {
			Files: []string{"a.o"}, Lists: []string{"v", "d", "r"}, Outputs: []string{"a.out"}},
		"gcc a.o -Wl,-Map=m -Wl,-Map,n -Wl,--dependency-file=d -o p": {Files: []string{"a.o"}, Outputs: []string{"p", "m", "n", "d"}},
		"gcc a.o -Wl,-soname,s -Wl,-z,now -z relro -Wl,-h,x -u main -e start -Wl,--defsym=a=b -Wl,-O1,--hash-style=gnu,--build-id,-Ttext=0x1": {
			Files: []string{"a.o"}, Outputs: []string{"a.out"}},
		"gcc a.o -Wl,-R,x -Wl,--just-symbols=y": {Files: []string{"a.o"}, Lists: []string{"x", "y"}, Runtime: []string{"x", "y"}, Outputs: []string{"a.out"}},
		"gcc a.o -Wl,-b,binary,blob":            {Files: []string{"a.o", "blob"}, Raw: true, Outputs: []string{"a.out"}},
		"gcc a.o -Wl,@words":                    {Files: []string{"a.o", "words", "x.o"}, Libraries: []string{"x"}, Outputs: []string{"a.out"}},
		"gcc -fuse-ld=gold a.o -Wl,-T b.o":      {Files: []string{"a.o"}, Scripts: []string{"b.o"}, Linker: "gold", Outputs: []string{"a.out"}},
	} {
		if d := cmp.Diff(&want, read(t, command)); d != "" {
			t.Errorf("%s: %s", command, d)
		}
	}
	for command, why := range map[string]string{
		"gcc a.o -Wl,-T": "no value", "gcc a.o -Wl,--sysroot=/x": "--sysroot", "gcc a.o -Wl,@endless": "not known", "gcc a.o -Wl,@nowhere": "not known",
		"gcc a.o -Wl,-Map=%": "no file", "gcc a.o -Wl,-o,x": "-o", "gcc a.o -Wl,--as-needed=1": "as-needed=1", "gcc a.o -Wl,-plugin-opt=x": "plugin-opt",
	} {
		if l := read(t, command); !slices.ContainsFunc(l.Local, func(r string) bool { return strings.Contains(r, why) }) {
			t.Errorf("%s: %q, want one with %q", command, l.Local, why)
		}
	}
}

// disk is files by their paths.
type disk map[string]link.Content

func (d disk) At(p string) link.At {
	p = path.Clean(p)
	at := link.At{Real: p, Parent: path.Dir(p)}
	_, at.There = d[p]
	for f := range d {
		if p == "/" || strings.HasPrefix(f, p+"/") {
			at.There, at.Dir = true, true
		}
	}
	return at
}

func (d disk) Holds(p string, _ bool) (link.Content, error) {
	c, ok := d[p]
	if !ok {
		return c, errors.New("not there")
	}
	return c, nil
}

var place = link.Place{Dir: "/p", Own: []string{"/usr/lib/own", "/usr/lib"}, Bound: []string{"/usr"}}

func TestLook(t *testing.T) {
	object, shared := link.Content{Kind: link.Object}, func(runtime string, needed ...string) link.Content {
		c := link.Content{Kind: link.Shared, Needed: needed}
		if runtime != "" {
			c.Runtime = []string{runtime}
		}
		return c
	}
	files := disk{
		"/p/a.o": object, "/p/l/libx.a": object, "/p/l/libx.so": shared("$ORIGIN/../r:/usr/priv", "liby.so.1", "libz.so.1"), "/p/r/liby.so.1": shared("", "libw.so.1"),
		"/p/libw.so.1": shared(""), "/p/w/libw.so.1": shared(""), "/usr/priv/libz.so.1": shared(""), "/usr/lib/libx.so": shared("", "libc.so.6"), "/usr/lib/own/libc.so.6": shared(""),
		"/usr/lib/own/libm.so": {Kind: link.Script, Text: "GROUP ( /usr/lib/own/libm.so.6  AS_NEEDED ( libmvec.so.1 ) )"}, "/usr/lib/own/libm.so.6": shared(""),
		"/usr/share/v": {Kind: link.Script}, "/p/s/t": {Kind: link.Script, Text: "/* b.o */ INPUT(c.o, \"d e.o\" -lx =f.o e.o) SEARCH_DIR(\"=/p/l\") INCLUDE u.ld x = y * z; { *(.text) w/*.o arch.a:g.o }"},
		"/p/b.o": object, "/p/s/c.o": object, "/p/l/e.o": object, "/p/f.o": object, "/p/l/u.ld": {Kind: link.Script, Text: "GROUP(h.o)"}, "/p/h.o": object, "/p/arch.a": object,
		"/p/thin.a": {Kind: link.Thin, Members: []string{"a.o", "/p/s/c.o", "gone.o"}}, "/p/odd": {Kind: link.Unknown}, "/usr/lib/odd.ld": {Kind: link.Script},
	}
	for command, want := range map[string]link.Reads{
		"gcc a.o":                              {Files: []string{"/p/a.o"}},
		"gcc a.o -lm":                          {Files: []string{"/p/a.o"}},
		"gcc a.o -lx":                          {Files: []string{"/p/a.o"}},
		"gcc a.o -Ll -lx -Wl,-rpath-link,w":    {Files: []string{"/p/a.o", "/p/l/libx.a", "/p/l/libx.so", "/p/r/liby.so.1", "/p/w/libw.so.1"}, Foreign: []string{"/usr/priv"}, Dirs: []string{"/p/l", "/p/r", "/p/w"}},
		"gcc a.o /usr/share/v /usr/lib/odd.ld": {Files: []string{"/p/a.o", "/usr/lib/odd.ld", "/usr/share/v"}},
		"gcc a.o -L/usr/nowhere -Lnowhere":     {Files: []string{"/p/a.o"}, Exact: []string{"/usr/nowhere"}},
		"gcc a.o s/t":                          {Files: []string{"/p/a.o", "/p/arch.a", "/p/f.o", "/p/h.o", "/p/l/e.o", "/p/l/libx.a", "/p/l/libx.so", "/p/l/u.ld", "/p/r/liby.so.1", "/p/s/c.o", "/p/s/t"}, Foreign: []string{"/usr/priv"}, Dirs: []string{"/p/l", "/p/r"}},
		"gcc a.o thin.a":                       {Files: []string{"/p/a.o", "/p/s/c.o", "/p/thin.a"}, Coming: []string{"/p/gone.o"}, Local: []string{"/p/gone.o is not there"}},
		"gcc a.o odd":                          {Files: []string{"/p/a.o", "/p/odd"}, Local: []string{"/p/odd is no object, no library and no script"}},
		"gcc a.o -Wl,-b,binary,odd":            {Files: []string{"/p/a.o", "/p/odd"}},
		"gcc a.o -Wl,--version-script=e.o -Ll": {Files: []string{"/p/a.o", "/p/l/e.o"}, Dirs: []string{"/p/l"}},
		"gcc a.o -L/usr":                       {Files: []string{"/p/a.o"}, Local: []string{"it looks for libraries in /usr, of which each machine has its own"}},
		"gcc a.o -Wl,-R,l":                     {Files: []string{"/p/a.o"}, Dirs: []string{"/p/l"}},
	} {
		got := link.Look(read(t, command), place, files)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", command, d)
		}
	}
}

// Whatever a script says, all files that its words name go along, once.
func FuzzScript(f *testing.F) {
	f.Add("GROUP ( a.o -lx AS_NEEDED ( lib.so ) )")
	f.Add("b.o s")
	f.Add("SEARCH_DIR(\"=/p/l\") INPUT(-l:x \"a b\") /* c */ INCLUDE d")
	f.Fuzz(func(t *testing.T, text string) {
		names := map[string]bool{}
		for _, w := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \t\r\n\v\f,(){};\"'", r) }) {
			if !strings.ContainsAny(w, "*?[:=-$/\x00") && len(w) < 200 {
				names[w] = true
			}
		}
		if strings.Contains(text, "/*") || strings.Contains(text, "MAP") || strings.Contains(text, "OUTPUT") {
			names = nil
		}
		delete(names, "s") // it is the script
		files := disk{"/p/s": {Kind: link.Script, Text: text}, "/p/a.o": {Kind: link.Object}}
		for n := range names {
			files["/p/"+n] = link.Content{Kind: link.Object}
		}
		got := link.Look(read(t, "gcc a.o s"), place, files)
		for _, n := range slices.Sorted(maps.Keys(names)) {
			if _, found := slices.BinarySearch(got.Files, path.Clean("/p/"+n)); !found && path.Clean("/p/"+n) != "/p" {
				t.Fatalf("%q names %q, and reads %q", text, n, got.Files)
			}
		}
		if !slices.IsSorted(got.Files) || len(slices.Compact(slices.Clone(got.Files))) != len(got.Files) {
			t.Fatalf("%q", got.Files)
		}
	})
}

// What a linker's words are or are not, reading them ends and takes nothing twice.
func FuzzWords(f *testing.F) {
	f.Add("-T,x,-L,y,-lz,a.o,--as-needed,-Map=m")
	f.Fuzz(func(t *testing.T, words string) {
		c := &compile.Command{Compiler: "gcc", Linker: strings.Split(words, ","), Output: "p"}
		l := link.Read(c, link.Setting{})
		taken := len(l.Files) + len(l.Scripts) + len(l.Lists) + len(l.Libraries) + len(l.Dirs) + len(l.Outputs) - 1
		if taken > len(c.Linker) {
			t.Fatalf("%q: %+v", c.Linker, l)
		}
	})
}

func FuzzMembers(f *testing.F) {
	f.Add([]byte("!<thin>\n//                                              10        `\nsub/a.o/\n\n/0              0           0     0     644     1600      `\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		names, err := link.Members(content)
		if err == nil && slices.Contains(names, "") {
			t.Fatalf("%q has members without names", content)
		}
	})
}
