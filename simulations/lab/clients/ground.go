//go:build lab && linux

package clients

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/simulations/lab"
)

// server is where every node serves on its own host.
const server = "127.0.0.1:9877"

// power is the part of a core that a host has.
const power = 1

// ground is a mesh of three hosts, each of whose nodes serves clients.
type ground struct{ *lab.Ground }

func newGround(t *testing.T) *ground {
	t.Helper()
	return &ground{lab.NewGround(lab.Mesh(t, lab.New(t), 3, power))}
}

// spread fails the test unless at least n actions were executed, by two nodes or more.
func (g *ground) spread(t *testing.T, n int) {
	t.Helper()
	by, sum := g.Executed()
	t.Logf("executed: %v", by)
	busy := 0
	for _, one := range by {
		if one > 0 {
			busy++
		}
	}
	if sum < n || busy < 2 {
		t.Errorf("executed %v: want %d and two nodes at least", by, n)
	}
}

// cached fails the test if anything was executed.
func (g *ground) cached(t *testing.T) {
	t.Helper()
	if by, sum := g.Executed(); sum != 0 {
		t.Errorf("executed %v of what was known", by)
	}
}

// output is what came of a command.
type output struct {
	exit int
	text string // both streams
}

// run runs a command on a host, in dir, with a home of its own there.
func run(t *testing.T, h *lab.Host, dir string, env []string, argv ...string) output {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := h.Command(argv...)
	cmd.Dir = dir
	cmd.Env = append(append(cmd.Env, "HOME="+h.Dir), env...)
	text, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatalf("%v: %v", argv, err)
	}
	return output{cmd.ProcessState.ExitCode(), string(text)}
}

// ok fails the test unless the command came to a good end.
func (o output) ok(t *testing.T) output {
	t.Helper()
	if o.exit != 0 {
		t.Fatalf("exit status %d:\n%s", o.exit, o.text)
	}
	return o
}

// says fails the test unless the output has each of the texts.
func (o output) says(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(o.text, text) {
			t.Errorf("no %q in what is said (exit status %d):\n%s", text, o.exit, o.text)
		}
	}
}

// failed is says of a command that must fail.
func (o output) failed(t *testing.T, texts ...string) {
	t.Helper()
	if o.exit == 0 {
		t.Errorf("it ends well:\n%s", o.text)
	}
	o.says(t, texts...)
}

// files are those below dir, what each has in it, and where links lead.
func files(t *testing.T, dir string, skip func(name string) bool) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, p)
		if skip(name) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		switch {
		case d.IsDir():
			all[name] = "directory"
		case d.Type()&fs.ModeSymlink != 0:
			to, err := os.Readlink(p)
			all[name] = "link to " + to
			return err
		default:
			content, err := os.ReadFile(p)
			all[name] = "file " + string(content)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// same fails the test unless both have the same, at least n of it.
func same(t *testing.T, n int, got, want map[string]string) {
	t.Helper()
	for name, is := range want {
		if other, there := got[name]; other != is {
			t.Errorf("%s is %.60q, want %.60q (is there: %v)", name, other, is, there)
		}
	}
	for name := range got {
		if _, there := want[name]; !there {
			t.Errorf("%s should not be there", name)
		}
	}
	if len(want) < n {
		t.Errorf("%d are too few to compare", len(want))
	}
}
