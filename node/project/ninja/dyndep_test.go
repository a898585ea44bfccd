package ninja_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/node/project/ninja"
)

// dyndepTree is a graph in which "dd" speaks of two edges.
func dyndepTree(dd string) memory {
	return manifest(noRule, "build out other: r in || dd", "  dyndep = dd", "build last: r || dd", "  dyndep = dd",
		"build apart: r in").with("dd", strings.TrimSuffix(dd, "\n"))
}

const (
	v1      = "ninja_dyndep_version = 1\n"
	lastOne = "build last: dyndep\n"
)

// dyndepFiles cover what ninja's dyndep_parser_test accepts, and what
// graph_test's DyndepLoad* add to edges. What becomes dirty by that
// (graph_test's DyndepFile*) is the plan's.
var dyndepFiles = []struct {
	name, text string
	out, last  string // the edges afterwards
	restat     bool
}{
	{"Version1", v1 + "build out: dyndep\n" + lastOne, outEdge, lastEdge, false},
	{"Version1Extra", "ninja_dyndep_version = 1-x\nbuild out: dyndep\n" + lastOne, outEdge, lastEdge, false},
	{"Version1_0", "ninja_dyndep_version = 1.0\nbuild out: dyndep\n" + lastOne, outEdge, lastEdge, false},
	{"Version1_0Extra", "ninja_dyndep_version = 1.0-x\nbuild out: dyndep\n" + lastOne, outEdge, lastEdge, false},
	{"CommentFirst", "# say\n" + v1 + "build out: dyndep\n" + lastOne, outEdge, lastEdge, false},
	{"BlankLineFirst", "\n" + v1 + "build out: dyndep\n" + lastOne, outEdge, lastEdge, false},
	{"CRLF", "# say\r\n\r\nninja_dyndep_version = 1\r\nbuild out: dyndep\r\n" + lastOne, outEdge, lastEdge, false},
	{"EmptyLists", v1 + "build out | : dyndep |\n" + lastOne, outEdge, lastEdge, false},
	{"ByAnotherOutput", v1 + "build other: dyndep\n" + lastOne, outEdge, lastEdge, false},
	{"ImplicitIn", v1 + "build out: dyndep | i\n" + lastOne, "build out other: r in | i || dd # r", lastEdge, false},
	{"ImplicitIns", v1 + "build out: dyndep | i ./j\n" + lastOne, "build out other: r in | i j || dd # r", lastEdge, false},
	{"ImplicitOut", v1 + "build out | p: dyndep\n" + lastOne, "build out other | p: r in || dd # r", lastEdge, false},
	{"ImplicitOuts", v1 + "build out | p q : dyndep\n" + lastOne, "build out other | p q: r in || dd # r", lastEdge, false},
	{"Both", v1 + "build out | p q: dyndep | i j\n" + lastOne, "build out other | p q: r in | i j || dd # r", lastEdge, false},
	{"Restat", v1 + "build out: dyndep\n  restat = 1\n" + lastOne, outEdge, lastEdge, true},
	{"RestatIsEmpty", v1 + "build out: dyndep\n  restat =\n" + lastOne, outEdge, lastEdge, false},
	{"SeveralEdges", v1 + "build last | l: dyndep | i\nbuild out | o: dyndep | l\n",
		"build out other | o: r in | l || dd # r", "build last | l: r | i || dd # r", false},
	{"AnotherEdgesOutput", v1 + "build out: dyndep | apart\n" + lastOne, "build out other: r in | apart || dd # r", lastEdge, false},
}

const (
	outEdge  = "build out other: r in || dd # r"
	lastEdge = "build last: r || dd # r"
)

func TestDyndepFiles(t *testing.T) {
	for _, tc := range dyndepFiles {
		t.Run(tc.name, func(t *testing.T) {
			files := dyndepTree(tc.text)
			g := load(t, files)
			found, err := g.LoadDyndep(files, g.Lookup("dd"))
			if err != nil {
				t.Fatal(err)
			}
			checkLinks(t, g)
			e := g.Lookup("out").In
			wantLines(t, "edges", []string{described(e), described(g.Lookup("last").In)}, []string{tc.out, tc.last})
			if g.Lookup("dd").DyndepPending {
				t.Error("the file still counts as not loaded")
			}
			if restat, err := e.Restat(); restat != tc.restat || err != nil {
				t.Errorf("Restat = %v, %v", restat, err)
			}
			if restat, _ := g.Lookup("apart").In.Restat(); restat {
				t.Error("an edge of no dyndep file restats")
			}
			if len(found) != 2 || found[0].Edge == found[1].Edge {
				t.Errorf("LoadDyndep returns %d edges", len(found))
			}
		})
	}
}

func TestDyndepSaysWhatItAdded(t *testing.T) {
	files := dyndepTree(v1 + lastOne + "build other | p: dyndep | i\n  restat = 1\n")
	g := load(t, files)
	found, err := g.LoadDyndep(files, g.Lookup("dd"))
	if err != nil || len(found) != 2 {
		t.Fatalf("LoadDyndep = %v, %v", found, err)
	}
	d := found[1]
	if d.Edge != g.Lookup("out").In || !d.Restat || found[0].Restat {
		t.Errorf("LoadDyndep = %+v", found)
	}
	wantLines(t, "added", append(paths(d.ImplicitIns), paths(d.ImplicitOuts)...), []string{"i", "p"})
}

// TestRestatOfTheDyndepFileStaysWithTheEdge: where the rule names the file,
// the edge has no scope of its own to put it in.
func TestRestatOfTheDyndepFileStaysWithTheEdge(t *testing.T) {
	files := manifest("rule r", "  command = r $restat", "  dyndep = dd", "build out: r || dd", noRule[:6]+"2\n  command = s",
		"build apart: r2").with("dd", v1+"build out: dyndep\n  restat = 1")
	g := load(t, files)
	if _, err := g.LoadDyndep(files, g.Lookup("dd")); err != nil {
		t.Fatal(err)
	}
	if restat, _ := g.Lookup("apart").In.Restat(); restat {
		t.Error("restat has spread")
	}
	wantLines(t, "edge", []string{described(g.Lookup("out").In)}, []string{"build out: r || dd # r 1"})
}

// dyndepFaults cover dyndep_parser_test's faults and graph_test's
// DyndepLoadMissingEntry, ExtraEntry and OutputWithMultipleRules1 and 2.
var dyndepFaults = []struct{ name, text, want string }{
	{"Empty", "", "dd:1: expected 'ninja_dyndep_version = ...'\n"},
	{"NoLineEnd", "ninja_dyndep_version = 1.0", "dd:1: unexpected EOF\nninja_dyndep_version = 1.0\n                          ^ near here"},
	{"Version0", "ninja_dyndep_version = 0\n",
		"dd:1: unsupported 'ninja_dyndep_version = 0'\nninja_dyndep_version = 0\n                        ^ near here"},
	{"Version1_1", "ninja_dyndep_version = 1.1\n",
		"dd:1: unsupported 'ninja_dyndep_version = 1.1'\nninja_dyndep_version = 1.1\n                          ^ near here"},
	{"VersionTwice", v1 + v1, "dd:2: unexpected identifier\n"},
	{"OtherVariable", "another = 1\n", "dd:1: expected 'ninja_dyndep_version = ...'\nanother = 1\n           ^ near here"},
	{"NoVersion", "build out: dyndep\n", "dd:1: expected 'ninja_dyndep_version = ...'\n"},
	{"Equals", "= 1\n", "dd:1: unexpected '='\n"},
	{"Indent", "  = 1\n", "dd:1: unexpected indent\n"},
	{"Tab", v1 + "\t", "dd:2: tabs are not allowed, use spaces\n"},
	{"Twice", v1 + "build out: dyndep\nbuild out: dyndep\n", "dd:3: multiple statements for 'out'\nbuild out: dyndep\n         ^ near here"},
	{"TwiceByAnotherOutput", v1 + "build out: dyndep\nbuild other: dyndep\n",
		"dd:3: multiple statements for 'other'\nbuild other: dyndep\n           ^ near here"},
	{"EndBeforeOutput", v1 + "build", "dd:2: unexpected EOF\nbuild\n     ^ near here"},
	{"NoOutput", v1 + "build :\n", "dd:2: expected path\nbuild :\n      ^ near here"},
	{"UnknownOutput", v1 + "build new: dyndep\n", "dd:2: no build statement exists for 'new'\nbuild new: dyndep\n         ^ near here"},
	{"OutputIsASource", v1 + "build in: dyndep\n", "dd:2: no build statement exists for 'in'\nbuild in: dyndep\n        ^ near here"},
	{"EmptyOutput", v1 + "build $x: dyndep\n", "dd:2: empty path\nbuild $x: dyndep\n        ^ near here"},
	{"EndBehindOutput", v1 + "build out", "dd:2: unexpected EOF\nbuild out\n         ^ near here"},
	{"NoRule", v1 + "build out:", "dd:2: expected build command name 'dyndep'\nbuild out:\n          ^ near here"},
	{"OtherRule", v1 + "build out: r", "dd:2: expected build command name 'dyndep'\nbuild out: r\n           ^ near here"},
	{"EndBehindRule", v1 + "build out: dyndep", "dd:2: unexpected EOF\nbuild out: dyndep\n                 ^ near here"},
	{"ExplicitOut", v1 + "build out x: dyndep\n", "dd:2: explicit outputs not supported\nbuild out x: dyndep\n           ^ near here"},
	{"ExplicitIn", v1 + "build out: dyndep x\n", "dd:2: explicit inputs not supported\nbuild out: dyndep x\n                   ^ near here"},
	{"OrderOnly", v1 + "build out: dyndep ||\n", "dd:2: order-only inputs not supported\nbuild out: dyndep ||\n                  ^ near here"},
	{"Validation", v1 + "build out: dyndep |@ x\n", "dd:2: expected newline, got '|@'\nbuild out: dyndep |@ x\n                  ^ near here"},
	{"OtherBinding", v1 + "build out: dyndep\n  other = 1\n", "dd:3: binding is not 'restat'\n  other = 1\n           ^ near here"},
	{"RestatTwice", v1 + "build out: dyndep\n  restat = 1\n  restat = 1\n", "dd:4: unexpected indent\n"},
	{"BadEscapeInVersion", "ninja_dyndep_version = $;\n",
		"dd:1: bad $-escape (literal $ must be written as $$)\nninja_dyndep_version = $;\n                       ^ near here"},
	{"NoBinding", v1 + "build out: dyndep\n  |\n", "dd:3: expected variable name\n  |\n  ^ near here"},
	{"EmptyImplicitOutput", v1 + "build out | $x: dyndep\n", "dd:3: empty path\n"},
	{"EmptyInput", v1 + "build out: dyndep | $x\n", "dd:3: empty path\n"},
	{"MissingEntry", v1 + lastOne, "'out' not mentioned in its dyndep file 'dd'"},
	{"ExtraEntry", v1 + "build out: dyndep\nbuild apart: dyndep\n" + lastOne,
		"dyndep file 'dd' mentions output 'apart' whose build statement does not have a dyndep binding for the file"},
	{"OutputOfTheManifest", v1 + "build out | apart: dyndep\n" + lastOne, "multiple rules generate apart"},
	{"OutputOfAnotherEntry", v1 + "build out | x: dyndep\nbuild last | x: dyndep\n", "multiple rules generate x"},
}

// dyndepEscapes are faults of which ninja 1.11 only says that the next word is
// a "lexing error": it loses the first of two errors.
var dyndepEscapes = []struct{ name, text, want string }{
	{"BadEscapeInOutputs", v1 + "build out | $;: dyndep\n",
		"dd:2: bad $-escape (literal $ must be written as $$)\nbuild out | $;: dyndep\n            ^ near here"},
	{"BadEscapeInInputs", v1 + "build out: dyndep | $;\n",
		"dd:2: bad $-escape (literal $ must be written as $$)\nbuild out: dyndep | $;\n                    ^ near here"},
}

func TestDyndepFaults(t *testing.T) {
	for _, tc := range slices.Concat(dyndepEscapes, dyndepFaults) {
		t.Run(tc.name, func(t *testing.T) {
			files := dyndepTree("")
			g := load(t, files)
			files["dd"] = tc.text
			if _, err := g.LoadDyndep(files, g.Lookup("dd")); err == nil || err.Error() != tc.want {
				t.Errorf("LoadDyndep says\n%v\nwant\n%s", err, tc.want)
			}
		})
	}
}

// TestNoDyndepFile covers graph_test's DyndepLoadMissingFile.
func TestNoDyndepFile(t *testing.T) {
	files := dyndepTree("")
	g := load(t, files)
	delete(files, "dd")
	_, err := g.LoadDyndep(files, g.Lookup("dd"))
	if want := "loading 'dd': No such file or directory"; err == nil || err.Error() != want {
		t.Errorf("error = %v, want %s", err, want)
	}
}

// TestDyndepNamesTheRealProducer: a file that only recorded dependencies
// named is an output after all.
func TestDyndepNamesTheRealProducer(t *testing.T) {
	files := dyndepTree(v1 + "build out | mod: dyndep\n" + lastOne)
	g := load(t, files)
	g.AddDeps(g.Lookup("apart").In, []*ninja.Node{g.Node("mod")})
	stand := g.Lookup("mod").In
	if _, err := g.LoadDyndep(files, g.Lookup("dd")); err != nil {
		t.Fatal(err)
	}
	if g.Lookup("mod").In != g.Lookup("out").In || len(stand.Outputs) > 0 {
		t.Error("mod is still made by the phony edge")
	}
}
