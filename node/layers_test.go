package node_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/buildnet/buildnet/"

// vocabulary is what the parts share: it may be imported from everywhere.
var vocabulary = []string{"mesh/peer", "mesh/wire", "store/digest", "sched/action"}

// leaves are the packages of node that other packages of node may import. Those
// of node/project/ninja are pure: a language and what follows from it.
var leaves = []string{"node/config", "node/event", "node/auth", "node/telemetry", "node/project/ninja", "node/queue"}

// spoken is what the services of the Remote Execution API share: what clients call
// things, who they are, how much they may, what errors are to them; trees and results
// in their names; how blobs are cut.
var spoken = []string{
	"node/reapi/names", "node/reapi/translate", "node/reapi/caller", "node/reapi/limits", "node/reapi/room", "node/reapi/fault", "node/reapi/platform", "node/reapi/results", "node/reapi/cdc",
}

var topLevel = []string{"go.mod", "go.sum", "Makefile", "README.md", "LICENSE", "cmd", "node", "mesh", "dht", "sched", "store", "simulations", "docs"}

// maxFileLines is above every file that reads well, and below the monsters.
const maxFileLines = 500

func TestTopLevelHoldsNothingElse(t *testing.T) {
	entries, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && e.Name() != "bin" && !slices.Contains(topLevel, e.Name()) {
			t.Errorf("%s does not belong at the top level", e.Name())
		}
	}
}

func TestSubsystemsAreStrangersToEachOther(t *testing.T) {
	eachFile(t, func(dir, file string, f *ast.File) {
		for _, spec := range f.Imports {
			imported, ours := strings.CutPrefix(importPath(t, spec), module)
			if !ours {
				continue
			}
			if reason := forbidden(dir, imported, strings.HasSuffix(file, "_test.go")); reason != "" {
				t.Errorf("%s imports %s: %s", path.Join(dir, file), imported, reason)
			}
		}
	})
}

func forbidden(from, to string, test bool) string {
	if within(to, vocabulary...) {
		return ""
	}
	fromTop, toTop := top(from), top(to)
	switch {
	case fromTop == toTop && fromTop != "node":
		return ""
	case toTop == "cmd" || toTop == "simulations" && fromTop != "simulations" && fromTop != "cmd":
		return "nobody imports the programs"
	case fromTop == "cmd" || fromTop == "simulations":
		return ""
	case fromTop != "node":
		return "sched, dht, mesh and store know neither each other nor node"
	case toTop != "node" || from == "node" || test:
		return ""
	case within(to, leaves...) || within(to, from) || within(from, to):
		return ""
	case within(from, "node/reapi") && within(to, spoken...):
		return ""
	case from == "node/build" || from == "node/invocation" || from == "node/reapi/execute":
		return "" // one build needs every service at the edge of its machine
	case from == "node/nodetest":
		return "" // it stands above node, as the tests that it serves do
	default:
		return "services of node do not know each other: node wires them"
	}
}

func within(p string, dirs ...string) bool {
	return slices.ContainsFunc(dirs, func(d string) bool { return p == d || strings.HasPrefix(p, d+"/") })
}

func top(dir string) string {
	first, _, _ := strings.Cut(dir, "/")
	return first
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	documented := map[string]bool{}
	eachFile(t, func(dir, file string, f *ast.File) {
		if strings.HasSuffix(file, "_test.go") || ast.IsGenerated(f) {
			return
		}
		documented[dir] = documented[dir] || f.Doc != nil
	})
	for dir, ok := range documented {
		if !ok {
			t.Errorf("package %s has no package comment", dir)
		}
	}
}

func TestFilesStaySmall(t *testing.T) {
	eachFile(t, func(dir, file string, f *ast.File) {
		if ast.IsGenerated(f) {
			return
		}
		source, err := os.ReadFile(filepath.Join("..", dir, file))
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(source), "\n"); n > maxFileLines {
			t.Errorf("%s has %d lines, the limit is %d: is there a second idea in it?", path.Join(dir, file), n, maxFileLines)
		}
	})
}

func TestTestsDoNotSleep(t *testing.T) {
	eachFile(t, func(dir, file string, f *ast.File) {
		if !strings.HasSuffix(file, "_test.go") {
			return
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "Sleep" {
				if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Name == "time" && !usesSynctest(f) {
					t.Errorf("%s sleeps: use testing/synctest, or wait for what is to happen", path.Join(dir, file))
				}
			}
			return true
		})
	})
}

func usesSynctest(f *ast.File) bool {
	return slices.ContainsFunc(f.Imports, func(s *ast.ImportSpec) bool { return s.Path.Value == `"testing/synctest"` })
}

func importPath(t *testing.T, spec *ast.ImportSpec) string {
	t.Helper()
	p, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// eachFile visits every Go file of the module. dir is slash-separated and
// relative to the module's root.
func eachFile(t *testing.T, visit func(dir, file string, f *ast.File)) {
	t.Helper()
	all, err := parsed()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		visit(f.dir, f.name, f.File)
	}
}

// file is a Go file of the module.
type file struct {
	dir, name string
	*ast.File
}

// parsed reads the files once for all tests, which change nothing in them.
var parsed = sync.OnceValues(func() (all []file, err error) {
	err = filepath.WalkDir("..", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && d.Name() != ".." || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel("..", filepath.Dir(p))
		if err != nil {
			return err
		}
		all = append(all, file{filepath.ToSlash(rel), filepath.Base(p), f})
		return nil
	})
	return all, err
})
