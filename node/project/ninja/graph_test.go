package ninja_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/node/project/ninja"
)

// memory is files that are only here.
type memory map[string]string

func (m memory) ReadFile(path string) (string, error) {
	if text, ok := m[path]; ok {
		return text, nil
	}
	return "", errors.New("No such file or directory")
}

// manifest is a tree with one file.
func manifest(lines ...string) memory {
	return memory{"input": strings.Join(lines, "\n") + "\n"}
}

// with is files and one more.
func (m memory) with(path string, lines ...string) memory {
	m[path] = strings.Join(lines, "\n") + "\n"
	return m
}

// load reads the manifest "input".
func load(t testing.TB, files memory) *ninja.Graph {
	t.Helper()
	g, err := ninja.Load(files, "input", ninja.Options{})
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	checkLinks(t, g)
	return g
}

// checkLinks asserts that nodes and edges know of each other.
func checkLinks(t testing.TB, g *ninja.Graph) {
	t.Helper()
	seen := map[*ninja.Edge]bool{}
	for i, n := range g.Nodes {
		if n.ID != i || g.Lookup(n.Path) != n {
			t.Errorf("node %d %q is not where it says", n.ID, n.Path)
		}
		if n.In != nil {
			seen[n.In] = true
		}
		for _, e := range n.Out {
			seen[e] = true
		}
	}
	for i, e := range g.Edges {
		if e.ID != i || !seen[e] && len(e.Outputs) > 0 {
			t.Errorf("edge %d is not where it says", e.ID)
		}
		delete(seen, e)
		for _, n := range e.Outputs {
			if n.In != e {
				t.Errorf("%s does not know the edge that makes it", n.Path)
			}
		}
		for _, n := range e.Inputs {
			if !slices.Contains(n.Out, e) {
				t.Errorf("%s does not know %s", n.Path, described(e))
			}
		}
	}
	if len(seen) > 0 {
		t.Errorf("%d edges are known to nodes only", len(seen))
	}
}

// described shows an edge as a build statement, with its command.
func described(e *ninja.Edge) string {
	var b strings.Builder
	list := func(separator string, nodes []*ninja.Node) {
		for i, n := range nodes {
			if i == 0 {
				b.WriteString(separator)
			}
			b.WriteString(" " + n.Path)
		}
	}
	ordered := len(e.Inputs) - e.OrderOnlyIns
	b.WriteString("build")
	list("", e.ExplicitOuts())
	list(" |", e.Outputs[len(e.ExplicitOuts()):])
	b.WriteString(": " + e.Rule.Name)
	list("", e.ExplicitIns())
	list(" |", e.Inputs[len(e.ExplicitIns()):ordered])
	list(" ||", e.Inputs[ordered:])
	list(" |@", e.Validations)
	if !e.Phony() {
		command, err := e.Command()
		if err != nil {
			command = err.Error()
		}
		b.WriteString(" # " + command)
	}
	return b.String()
}

func describedAll(g *ninja.Graph) []string {
	lines := []string{}
	for _, e := range g.Edges {
		lines = append(lines, described(e))
	}
	return lines
}

func paths(nodes []*ninja.Node) []string {
	list := []string{}
	for _, n := range nodes {
		list = append(list, n.Path)
	}
	return list
}

func wantLines(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n  %s\nwant:\n  %s", what, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// TestGraphIsMadeByHand covers ninja's state_test and the parse side of its
// graph_test: RootNodes. Its node flags (dirty) are the plan's here.
func TestGraphIsMadeByHand(t *testing.T) {
	made := load(t, manifest("rule cp", "  command = cp $in -t $out"))
	e := made.AddEdge(made.Scope.Rule("cp"))
	made.AddIn(e, "a")
	made.AddIn(e, "b")
	if !made.AddOut(e, "dir") || made.AddOut(e, "dir") {
		t.Error("AddOut does not say that there is an edge already")
	}
	made.AddValidation(e, "check")
	checkLinks(t, made)
	wantLines(t, "edge", describedAll(made), []string{"build dir: cp a b |@ check # cp a b -t dir"})
	roots, err := made.Roots()
	if err != nil {
		t.Fatal(err)
	}
	wantLines(t, "roots", paths(roots), []string{"dir"})
}

func TestRootsAreWhatNobodyReads(t *testing.T) {
	g := load(t, manifest("rule cp", "  command = x",
		"build r1: cp s1", "build m: cp s1", "build r2: cp m", "build r3 r4: cp m"))
	roots, err := g.Roots()
	if err != nil {
		t.Fatal(err)
	}
	wantLines(t, "roots", paths(roots), []string{"r1", "r2", "r3", "r4"})
}

func TestDefaultsOfAnEmptyGraph(t *testing.T) {
	if nodes, err := ninja.NewGraph().DefaultNodes(); err != nil || len(nodes) > 0 {
		t.Errorf("DefaultNodes = %v, %v", nodes, err)
	}
}

// TestRecordedDependencies says what graph_test's depfile cases need of the
// graph: where the inputs go, and who makes what nobody makes.
func TestRecordedDependencies(t *testing.T) {
	g := load(t, manifest("rule cc", "  command = cc $in", "build gen.h: cc g",
		"build a.o: cc a.c | imp || gen.h"))
	e := g.Lookup("a.o").In
	g.AddDeps(e, []*ninja.Node{g.Node("a.h"), g.Node("gen.h")})
	checkLinks(t, g)
	wantLines(t, "edge", []string{described(e)}, []string{"build a.o: cc a.c | imp a.h gen.h || gen.h # cc a.c"})
	if made := g.Lookup("a.h").In; made == nil || !made.FromDeps || !made.Phony() {
		t.Error("a.h has no phony edge of its own")
	}
	if g.Lookup("gen.h").In.FromDeps {
		t.Error("gen.h has lost its edge")
	}
	if !e.IsImplicit(1) || !e.IsImplicit(3) || e.IsImplicit(0) || e.IsImplicit(4) || !e.IsOrderOnly(4) {
		t.Error("the inputs are not of the kinds that they should be")
	}
}
