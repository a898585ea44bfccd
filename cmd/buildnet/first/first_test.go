package first

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWhichBuildsAreLookedAt(t *testing.T) {
	for args, want := range map[string]*call{
		"buildnet build":                {targets: []string{}},
		"/bin/buildnet build a b":       {targets: []string{"a", "b"}},
		"buildnet build -C d":           {dir: "d", targets: []string{}},
		"buildnet build -C d a":         {dir: "d", targets: []string{"a"}},
		"/x/ninja":                      {targets: []string{}},
		"ninja -C d a":                  {dir: "d", targets: []string{"a"}},
		"":                              nil,
		"buildnet":                      nil,
		"buildnet node up":              nil,
		"buildnet build -n":             nil,
		"buildnet build a -k 0":         nil,
		"buildnet build -- make":        nil,
		"buildnet build -C":             nil,
		"buildnet build -C d -f x":      nil,
		"buildnet build -Cd":            nil,
		"buildnet --home h build":       nil,
		"ninja -t clean":                nil,
		"ninja -j 3":                    nil,
		"buildnet-exec /bin/cc build c": nil,
	} {
		got, ok := asked(strings.Fields(args))
		if ok != (want != nil) {
			t.Errorf("%q: %v", args, ok)
		} else if ok && !cmp.Equal(&got, want, cmp.AllowUnexported(call{})) {
			t.Errorf("%q: %+v", args, got)
		}
	}
}

func TestProjectsOfBuildNetGoFirst(t *testing.T) {
	dir := t.TempDir()
	below := filepath.Join(dir, "a", "b")
	if err := os.MkdirAll(below, 0o755); err != nil {
		t.Fatal(err)
	}
	if ofProject(below) {
		t.Skipf("there is a project above %s", below)
	}
	if err := os.Mkdir(filepath.Join(dir, ".buildnet"), 0o755); err != nil {
		t.Fatal(err)
	}
	if !ofProject(below) || !ofProject(dir) {
		t.Error("the project was not seen")
	}
}

func TestTheAnswerIsNinjas(t *testing.T) {
	if got := (call{}).answer(); got != "ninja: no work to do.\n" {
		t.Errorf("%q", got)
	}
	if got := (call{dir: "d"}).answer(); got != "ninja: Entering directory `d'\nninja: no work to do.\n" {
		t.Errorf("%q", got)
	}
}
