package mutants

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// chosen, in the environment, is the name of the mutant that is there.
const chosen = "BUILDNET_TEST_MUTANT"

// chooser is a file of each package that has mutants.
const chooser = `package %s

import "os"

var chosenMutant = os.Getenv(%q)
`

// overlay writes the files with their mutants to dir, and a file for go's -overlay,
// which it returns.
func overlay(t *testing.T, dir string) string {
	t.Helper()
	replace := map[string]string{}
	add := func(path string, source []byte) {
		to := filepath.Join(dir, fmt.Sprintf("%d.go", len(replace)))
		if err := os.WriteFile(to, source, 0o600); err != nil {
			t.Fatal(err)
		}
		replace[path] = to
	}
	for file, groups := range byFile() {
		source, err := plant(file, groups)
		if err != nil {
			t.Fatal(err)
		}
		path, err := filepath.Abs(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		add(path, source)
		if in := filepath.Join(filepath.Dir(path), "chosen_mutant.go"); replace[in] == "" {
			add(in, fmt.Appendf(nil, chooser, packageOf(source), chosen))
		}
	}
	encoded, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(to, encoded, 0o600); err != nil {
		t.Fatal(err)
	}
	return to
}

func packageOf(source []byte) string {
	f, err := parser.ParseFile(token.NewFileSet(), "", source, parser.PackageClauseOnly)
	if err != nil {
		panic(err) // it was parsed before
	}
	return f.Name.Name
}

// plant returns the source of a file with all mutants in it: a function that has some
// begins with the choice of another body.
func plant(file string, groups []group) ([]byte, error) {
	source, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		return nil, err
	}
	fset := token.NewFileSet()
	parsed, err := parser.ParseFile(fset, file, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	text := func(from, to token.Pos) []byte { return source[fset.Position(from).Offset:fset.Position(to).Offset] }
	bodies := map[*ast.FuncDecl][]byte{}
	for _, g := range groups {
		for _, m := range g.of {
			if n := bytes.Count(source, []byte(m.line)); n != 1 {
				return nil, fmt.Errorf("%q is stale: in %s this is there %d times: %s", g.name(m), file, n, m.line)
			}
			f := around(fset, parsed, bytes.Index(source, []byte(m.line)))
			if f == nil {
				return nil, fmt.Errorf("%q is stale: in %s this is in no function: %s", g.name(m), file, m.line)
			}
			body := bytes.Replace(text(f.Body.Lbrace, f.Body.Rbrace+1), []byte(m.line), []byte(m.becomes), 1)
			bodies[f] = append(bodies[f], other(g.name(m), f, text, body)...)
		}
	}
	var planted []byte
	rest := 0
	for _, f := range functions(parsed) {
		if choice := bodies[f]; choice != nil {
			at := fset.Position(f.Body.Lbrace).Offset + 1
			planted = append(append(planted, source[rest:at]...), "\nswitch chosenMutant {"...)
			planted = append(append(planted, choice...), "\n}\n"...)
			rest = at
		}
	}
	return append(planted, source[rest:]...), nil
}

// other is the case of one mutant. What the compiler says of it has its name.
func other(name string, f *ast.FuncDecl, text func(from, to token.Pos) []byte, body []byte) []byte {
	var results []byte
	if f.Type.Results != nil {
		results = text(f.Type.Results.Pos(), f.Type.Results.End())
	}
	call := fmt.Appendf(nil, "func() %s %s()", results, body)
	if results == nil {
		return fmt.Appendf(nil, "\ncase %q:\n//line %s:1\n%s\nreturn", name, name, call)
	}
	return fmt.Appendf(nil, "\ncase %q:\n//line %s:1\nreturn %s", name, name, call)
}

// around is the function whose body has the offset.
func around(fset *token.FileSet, f *ast.File, offset int) *ast.FuncDecl {
	all := functions(f)
	at := slices.IndexFunc(all, func(d *ast.FuncDecl) bool {
		return fset.Position(d.Body.Lbrace).Offset < offset && offset < fset.Position(d.Body.Rbrace).Offset
	})
	if at < 0 {
		return nil
	}
	return all[at]
}

func functions(f *ast.File) (all []*ast.FuncDecl) {
	for _, d := range f.Decls {
		if d, ok := d.(*ast.FuncDecl); ok && d.Body != nil {
			all = append(all, d)
		}
	}
	return all
}
