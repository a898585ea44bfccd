package archive_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/buildnet/buildnet/node/compile"
	"github.com/buildnet/buildnet/node/compile/remote/archive"
)

// responses are files of arguments.
func responses(p string) ([]byte, error) {
	switch p {
	case "names":
		return []byte("'a b.o' @more"), nil
	case "more":
		return []byte("c.o"), nil
	case "endless":
		return []byte("@endless"), nil
	}
	return nil, os.ErrNotExist
}

func TestRead(t *testing.T) {
	for command, want := range map[string]archive.Command{
		"ar rcs l.a a.o b.o":                     {Program: "ar", Archive: "l.a", Members: []string{"a.o", "b.o"}, Unsaid: true},
		"/usr/bin/ar -q -cD l.a":                 {Program: "/usr/bin/ar", Archive: "l.a", Members: []string{}},
		"x86_64-linux-gnu-gcc-ar-12 cru l.a a.o": {Program: "x86_64-linux-gnu-gcc-ar-12", Archive: "l.a", Members: []string{"a.o"}, Updates: true, Unsaid: true},
		"llvm-ar --thin rcs l.a a.o":             {Program: "llvm-ar", Archive: "rcs", Thin: true, Unsaid: true, Members: []string{"l.a", "a.o"}, Local: []string{"it makes no archive"}},
		"llvm-ar rcs --thin l.a a.o":             {Program: "llvm-ar", Archive: "l.a", Thin: true, Unsaid: true, Members: []string{"a.o"}},
		"ar csrDT l.a a.o":                       {Program: "ar", Archive: "l.a", Thin: true, Members: []string{"a.o"}},
		"ar rc l.a @names":                       {Program: "ar", Archive: "l.a", Members: []string{"a b.o", "c.o"}, Responses: []string{"names", "more"}, Unsaid: true},
		"ranlib l.a":                             {Program: "ranlib", Archive: "l.a", Members: []string{}, Unsaid: true},
		"ranlib -D l.a":                          {Program: "ranlib", Archive: "l.a", Members: []string{}},
		"ranlib a.a b.a":                         {Program: "ranlib", Unsaid: true, Local: []string{"it names not one archive"}},
		"ar":                                     {Program: "ar", Unsaid: true, Local: []string{"it makes no archive", "it names no archive"}},
		"ar rcN 2 l.a a.o":                       {Program: "ar", Archive: "2", Members: []string{"l.a", "a.o"}, Unsaid: true, Local: []string{"ar N: it is not looked into"}},
		"ar rcl deps l.a":                        {Program: "ar", Archive: "deps", Members: []string{"l.a"}, Unsaid: true, Local: []string{"ar l: it is not looked into"}},
	} {
		got, err := archive.Read(strings.Fields(command), responses)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(&want, got); d != "" {
			t.Errorf("%s: %s", command, d)
		}
	}
	for _, command := range []string{"", "tar x", "car rc l.a", "ar.exe", "objar-x"} {
		if _, err := archive.Read(strings.Fields(command), nil); !errors.Is(err, archive.ErrNotArchiver) {
			t.Errorf("%q: %v", command, err)
		}
	}
	for _, command := range []string{"ar rc l.a @nowhere", "ar rc l.a @endless"} {
		if c, err := archive.Read(strings.Fields(command), responses); err != nil || len(c.Local) == 0 {
			t.Errorf("%q: %v, %v", command, c, err)
		}
	}
}

// What is read and may go elsewhere names an archive, and no argument is lost.
func FuzzRead(f *testing.F) {
	f.Add("ar rcs l.a a.o b.o")
	f.Add("gcc-ar -cq -D l.a @names")
	f.Add("ranlib -D l.a")
	f.Fuzz(func(t *testing.T, line string) {
		argv, ok := compile.Words(line)
		if !ok {
			return
		}
		c, err := archive.Read(argv, responses)
		if err != nil || len(c.Local) > 0 {
			return
		}
		if c.Archive == "" || strings.HasPrefix(c.Archive, "-") {
			t.Fatalf("%q makes %q", line, c.Archive)
		}
		files := len(c.Members) + 1
		for _, a := range argv[1:] {
			if a == c.Archive {
				files = 0
			}
		}
		if files > 0 && len(c.Responses) == 0 {
			t.Fatalf("%q: %q is no argument", line, c.Archive)
		}
	})
}
