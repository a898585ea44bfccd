package compile_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/node/compile"
)

func reading(t *testing.T, line string) *compile.Command {
	t.Helper()
	c, err := compile.Read(strings.Fields(line), compile.Setting{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCommandsThatList(t *testing.T) {
	for line, lists := range map[string]bool{
		"gcc -MM a.c":               true,
		"gcc -M a.c b.c -Ix -DY=1":  true,
		"g++ -MM a.cc b.cpp":        true,
		"gcc -x c++ -MM a.c b.cc":   true,
		"gcc -MM -MT x -MP a.c":     true,
		"gcc -E a.c":                false,
		"gcc -MM a.c -o a.d":        false,
		"gcc -MM -MF a.d a.c":       false,
		"gcc -MM -MD a.c":           false,
		"gcc -MM -Wp,-MD,a.d a.c":   false,
		"clang -MM -MJ a.json a.c":  false,
		"gcc -MM --coverage a.c":    false,
		"gcc -MM -fsyntax-only a.c": false,
		"gcc -MM a.c b.cc":          false,
		"gcc -MM a.i":               false,
		"gcc -MM a.S":               false,
		"gcc -MM":                   false,
	} {
		c := reading(t, line)
		if c.Remote() {
			t.Errorf("%s goes elsewhere, whoever asks", line)
		}
		if c.Lists != lists {
			t.Errorf("%s: lists %v, want %v", line, c.Lists, lists)
		}
		if c.Listing(); c.Remote() != lists {
			t.Errorf("%s: for who gives back stdout it is here because of %q", line, c.Local)
		}
	}
	// What else speaks against another machine goes on doing so.
	if c := reading(t, "gcc -MM -MG a.c"); !c.Lists || func() bool { c.Listing(); return c.Remote() }() {
		t.Errorf("-MG: %q", c.Local)
	}
}

func TestPartsOfAList(t *testing.T) {
	c := reading(t, "gcc a.c -I b.c -MM b.c -DX c.c a.c -include c.c d.c")
	want := []string{"gcc a.c -I b.c -MM b.c -DX -include c.c", "gcc -I b.c -MM -DX c.c a.c -include c.c", "gcc -I b.c -MM -DX -include c.c d.c"}
	var got []string
	for _, p := range c.Parts(2) {
		got = append(got, strings.Join(p, " "))
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
}

func TestWhatIsAList(t *testing.T) {
	c := reading(t, "gcc -MM a.c ./s/b.c")
	for text, is := range map[string]bool{
		"a.o: a.c a.h\nb.o: s/b.c \\\n b.h\n":              true,
		"x y: a.c\nb.o: \\\n s/b.c\n":                      true,
		"":                                                 false,
		"a.o: a.c a.h\n":                                   false,
		"a.o: a.c\nb.o: s/b.c":                             false,
		"b.o: s/b.c\na.o: a.c\n":                           false,
		"a.o: a.c\nb.o: s/b.c\na.h:\n":                     false,
		"gcc: warning: x\na.o: a.c\nb.o: s/b.c\n":          false,
		"a.o: a.c\ngcc: warning: b.c: unused\n":            false,
		"a.o: a.c \\\ngcc: warning: b\n x.h\nb.o: s/b.c\n": false,
		"a.o: a.c\nb.o:s/b.c\n":                            false,
		"a.o: a.c\nb.o: \n":                                false,
	} {
		if got := c.Listed(text); got != is {
			t.Errorf("%q: %v, want %v", text, got, is)
		}
	}
}
