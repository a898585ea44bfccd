package remote_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/node/compile/remote"
)

// set adds variables to the environment, each NAME=VALUE.
func (b *bench) set(env string) {
	if name, value, ok := strings.Cut(env, "="); ok {
		b.env[name] = value
	}
}

// Absolute paths, in arguments and as the working directory's other name.
func TestPlacesAreKept(t *testing.T) {
	b := newBench(t, project)
	b.compare("gcc -g -I" + b.dir + "/i -c " + b.dir + "/s/a.c -o " + b.dir + "/o/a.o -MD")

	other := filepath.Join(filepath.Dir(b.dir), "other")
	b.do(os.Symlink("p", other))
	b.env["PWD"] = other
	b.begin()
	b.compare("gcc -g -Ii -c s/a.c -o o/a.o")
	b.env["PWD"] = "/nowhere"
	b.begin()
	b.compare("gcc -g -Ii -c s/a.c -o o/a.o")
}

func TestOtherCommandsAreNoneOfThis(t *testing.T) {
	b := newBench(t, project)
	for _, command := range []string{"ls -l", "gcc -c s/a.c && touch x", "cd s; gcc -c a.c", "ar rc x.a y.o && touch x", ":", "gcc -c s/a.c && cd s"} {
		if _, err := b.desk.Prepare(b.Context(), b.request(command)); err == nil {
			t.Errorf("%s is a compile", command)
		}
	}
	if _, err := b.desk.Prepare(b.Context(), remote.Request{Argv: []string{"gcc", "-Ii", "-c", "s/a.c"}, Dir: b.dir}); err != nil {
		t.Errorf("without an environment: %v", err)
	}
}
