package ninja_test

import (
	"encoding/json"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/node/project/ninja"
)

// asked is a graph with one of everything that the tools of -t show.
func asked(t *testing.T) *ninja.Graph {
	return load(t, manifest("rule cc", "  command = cc $in -o $out", "  description = CC ${out}",
		"rule ld", "  command = ld @$out.rsp", "  rspfile = $out.rsp", "  rspfile_content = $in_newline",
		"rule gen", "  command = gen $out",
		"build gen.h: gen", "build a.o: cc a.c | a.h || gen.h", "build b.o: cc b.c || gen.h |@ check",
		"build it | it.map: ld a.o b.o", "build check: phony it", "build all: phony it check"))
}

func all(lines iter.Seq[string]) []string { return slices.Collect(lines) }

func nodesOf(g *ninja.Graph, names ...string) []*ninja.Node {
	var nodes []*ninja.Node
	for _, n := range names {
		nodes = append(nodes, g.Lookup(n))
	}
	return nodes
}

// TestLists covers graph_test's CollectInputs, too: which inputs count, and
// that they are quoted.
func TestLists(t *testing.T) {
	g := asked(t)
	roots, err := g.Roots()
	if err != nil {
		t.Fatal(err)
	}
	wantLines(t, "roots", paths(roots), []string{"it.map", "all"})
	wantLines(t, "rules", all(g.RuleLines(ninja.NamesOnly)), []string{"cc", "gen", "ld", "phony"})
	wantLines(t, "rules with descriptions", all(g.RuleLines(ninja.WithDescriptions)),
		[]string{"cc: CC ${out}", "gen", "ld", "phony"})
	wantLines(t, "targets", all(g.TargetLines()), []string{"gen.h: gen", "a.o: cc", "b.o: cc", "it: ld",
		"it.map: ld", "check: phony", "all: phony"})
	wantLines(t, "outputs", g.OutputsOf("cc"), []string{"a.o", "b.o"})
	wantLines(t, "no outputs", g.OutputsOf("none"), nil)
	wantLines(t, "sources", all(g.SourceLines()), []string{"a.c", "a.h", "b.c"})
	spaced := load(t, manifest(noRule, "build o$ 1: r a b$ c | d || e"))
	wantLines(t, "quoted inputs", ninja.InputsFor(nodesOf(spaced, "o 1")), []string{"'b c'", "a", "d", "e"})
	wantLines(t, "inputs", ninja.InputsFor(nodesOf(g, "all")), []string{"a.c", "a.h", "a.o", "b.c", "b.o", "gen.h"})
}

func TestTree(t *testing.T) {
	g := asked(t)
	for depth, want := range map[int][]string{
		1: {"all: phony"},
		2: {"all: phony", "  it: ld", "  check: phony"},
		3: {"all: phony", "  it: ld", "    a.o: cc", "    b.o: cc", "  check: phony", "    it: ld"},
		0: {},
	} {
		got := all(ninja.TreeLines(nodesOf(g, "all"), depth))
		if depth == 0 {
			if len(got) != 18 || got[3] != "      a.c" {
				t.Errorf("the whole tree has %d lines: %q", len(got), got)
			}
			continue
		}
		wantLines(t, "tree", got, want)
	}
}

func TestTreeOfACycleEnds(t *testing.T) {
	g := load(t, manifest(noRule, "build a: r b", "build b: r a"))
	wantLines(t, "tree", all(ninja.TreeLines(nodesOf(g, "a"), 0)), []string{"a: r", "  b: r", "    a: r"})
}

func TestCommands(t *testing.T) {
	g := asked(t)
	for _, tc := range []struct {
		name  string
		edges []*ninja.Edge
		want  []string
	}{
		{"All", ninja.EdgesFor(nodesOf(g, "all", "b.o")),
			[]string{"gen gen.h", "cc a.c -o a.o", "cc b.c -o b.o", "ld @it.rsp"}},
		{"Single", ninja.ProducersOf(nodesOf(g, "it", "it.map", "a.o", "a.c")), []string{"ld @it.rsp", "cc a.c -o a.o"}},
	} {
		var got []string
		for command, err := range ninja.Commands(tc.edges) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, command)
		}
		wantLines(t, tc.name, got, tc.want)
	}
}

func TestCommandsStopAtAFault(t *testing.T) {
	g := load(t, manifest("rule r", "  command = $command", noRule[:6]+"2\n  command = s", "build a: r", "build b: r2 a"))
	n := 0
	for _, err := range ninja.Commands(ninja.EdgesFor(nodesOf(g, "b"))) {
		if n++; err == nil {
			t.Error("a cycle is no fault")
		}
	}
	if n != 1 {
		t.Errorf("%d commands after a fault", n)
	}
}

func TestQuery(t *testing.T) {
	g := asked(t)
	for name, want := range map[string][]string{
		"a.o":   {"a.o:", "  input: cc", "    a.c", "    | a.h", "    || gen.h", "  outputs:", "    it", "    it.map"},
		"b.o":   {"b.o:", "  input: cc", "    b.c", "    || gen.h", "  validations:", "    check", "  outputs:", "    it", "    it.map"},
		"check": {"check:", "  input: phony", "    it", "  outputs:", "    all", "  validation for:", "    b.o"},
		"a.c":   {"a.c:", "  outputs:", "    a.o"},
	} {
		wantLines(t, "query", all(ninja.QueryLines(g.Lookup(name))), want)
	}
}

func TestCompdb(t *testing.T) {
	g := load(t, manifest("rule cc", "  command = cc \"$in\" \\", "rule ld", "  command = ld @$out.rsp -x", "  rspfile = $out.rsp",
		"  rspfile_content = $in_newline", "rule gen", "  command = gen", "build a: cc ä b", "build c: ld d e", "build f: gen"))
	type entry struct{ Directory, Command, File, Output string }
	cc := entry{"/d", `cc "'ä' b" \`, "ä", "a"}
	ld := entry{"/d", "ld @c.rsp -x", "d", "c"}
	expanded := entry{"/d", "ld d e -x", "d", "c"}
	for _, tc := range []struct {
		name string
		opts ninja.CompdbOptions
		want []entry
	}{
		{"All", ninja.CompdbOptions{Directory: "/d"}, []entry{cc, ld}},
		{"Expanded", ninja.CompdbOptions{Directory: "/d", ExpandRspfile: true}, []entry{cc, expanded}},
		{"OfRules", ninja.CompdbOptions{Directory: "/d", Rules: []string{"ld", "ld"}}, []entry{ld, ld}},
		{"OfNone", ninja.CompdbOptions{Directory: "/d", Rules: []string{"no"}}, []entry{}},
	} {
		var text strings.Builder
		for piece, err := range g.Compdb(tc.opts) {
			if err != nil {
				t.Fatal(err)
			}
			text.WriteString(piece)
		}
		var got []entry
		if err := json.Unmarshal([]byte(text.String()), &got); err != nil || !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, %+v; want %+v", tc.name, err, got, tc.want)
		}
	}
}

// TestCompdbText holds the very bytes: other tools read them by lines.
func TestCompdbText(t *testing.T) {
	var text strings.Builder
	for piece := range load(t, manifest(noRule, "build a: r b", "build c: r d")).Compdb(ninja.CompdbOptions{Directory: "/d"}) {
		text.WriteString(piece)
	}
	entry := func(in, out string) string {
		return "  {\n    \"directory\": \"/d\",\n    \"command\": \"r\",\n    \"file\": \"" + in + "\",\n    \"output\": \"" + out + "\"\n  }"
	}
	if want := "[\n" + entry("b", "a") + ",\n" + entry("d", "c") + "\n]\n"; text.String() != want {
		t.Errorf("Compdb = %s\nwant %s", text.String(), want)
	}
}

func TestDot(t *testing.T) {
	g := load(t, manifest(noRule, `build a: r b\c`, "build d: r a e || f", "  dyndep = f"))
	loaded := ""
	got := all(ninja.Dot(nodesOf(g, "d", "a"), func(n *ninja.Node) { loaded += n.Path }))
	wantLines(t, "dot", got, []string{"digraph ninja {", `rankdir="LR"`, "node [fontsize=10, shape=box, height=0.25]",
		"edge [fontsize=10]", `"n2" [label="d"]`, `"e1" [label="r", shape=ellipse]`, `"e1" -> "n2"`,
		`"n0" -> "e1" [arrowhead=none]`, `"n3" -> "e1" [arrowhead=none]`, `"n4" -> "e1" [arrowhead=none style=dotted]`,
		`"n0" [label="a"]`, `"n1" -> "n0" [label=" r"]`, `"n1" [label="b/c"]`, `"n3" [label="e"]`, `"n4" [label="f"]`, "}"})
	if loaded != "f" {
		t.Errorf("loaded %q", loaded)
	}
}

func TestListsEndWhenNobodyReads(t *testing.T) {
	g := asked(t)
	for name, lines := range map[string]iter.Seq[string]{
		"rules": g.RuleLines(ninja.NamesOnly), "targets": g.TargetLines(), "sources": g.SourceLines(),
		"tree": ninja.TreeLines(nodesOf(g, "all"), 0), "query": ninja.QueryLines(g.Lookup("a.o")),
		"dot": ninja.Dot(nodesOf(g, "all"), nil),
	} {
		n := 0
		for range lines {
			if n++; n == 2 {
				break
			}
		}
		if n != 2 {
			t.Errorf("%s: %d lines", name, n)
		}
	}
}

// TestTargets covers how ninja takes arguments, and what it says of those that
// it does not know.
func TestTargets(t *testing.T) {
	g := load(t, manifest(noRule, "build src.o: r src.c", "build lib: r src.o lone"))
	g.Node("lone.h")
	reader := func(n *ninja.Node) *ninja.Node {
		if n.Path == "lone.h" {
			return g.Lookup("src.o")
		}
		return nil
	}
	for _, tc := range []struct{ arg, want, err string }{
		{"lib", "lib", ""},
		{"./x/../lib", "lib", ""},
		{"src.c^", "src.o", ""},
		{"src.o^", "lib", ""},
		{"lone.h^", "src.o", ""},
		{"lib^", "", "'lib' has no out edge"},
		{"", "", "empty path"},
		{"src.oo", "", "unknown target 'src.oo', did you mean 'src.o'?"},
		{"nothing-like-it", "", "unknown target 'nothing-like-it'"},
		{"clean", "", "unknown target 'clean', did you mean 'ninja -t clean'?"},
		{"help", "", "unknown target 'help', did you mean 'ninja -h'?"},
	} {
		n, err := g.Target(tc.arg, reader)
		if err != nil {
			if err.Error() != tc.err {
				t.Errorf("%q: %v, want %s", tc.arg, err, tc.err)
			}
		} else if n.Path != tc.want {
			t.Errorf("%q is %s, want %s", tc.arg, n.Path, tc.want)
		}
	}
	if _, err := g.Target("lone.h^", nil); err == nil {
		t.Error("a file without readers has a reader")
	}
	if got := ninja.SimilarWord("dephts", "rule", "depth", "all"); got != "depth" {
		t.Errorf("SimilarWord = %q", got)
	}
	if got := ninja.SimilarWord("something", "rule", "depth", "all"); got != "" {
		t.Errorf("SimilarWord = %q", got)
	}
}
