package ninja_test

import (
	"slices"
	"testing"

	"github.com/buildnet/buildnet/node/project/ninja"
)

const (
	cpRule = "rule cp\n  command = cp $in $out"
	noRule = "rule r\n  command = r"
)

// manifests are texts and what they mean. They cover ninja's
// manifest_parser_test (but for its faults: see faults_test.go) and the parse
// side of its graph_test: ImplicitOutputParse, ImplicitOutputOnlyParse,
// VarInOutPathEscaping and RuleVariablesInScope. Not here: CanonicalizeFileBackslashes,
// CanonicalizePathsBackslashes and Decanonicalize, which are for Windows,
// where a backslash is a slash.
var manifests = []struct {
	name  string
	files memory
	edges []string          // as described
	vars  map[string]string // in the outermost scope
}{
	{name: "Nothing", files: memory{"input": ""}},
	{name: "Rules", files: manifest("rule two", "  command = two $in >$out", "", "rule one", "  command = one >$out", "",
		"build res.ult: two in-1.c in_2.O"),
		edges: []string{"build res.ult: two in-1.c in_2.O # two in-1.c in_2.O >res.ult"}},
	{name: "AllBindingsOfARule", files: manifest("rule all", "  command = c", "  depfile = d", "  deps = gcc",
		"  description = s", "  generator = 1", "  restat = 1", "  rspfile = r", "  rspfile_content = t",
		"  dyndep = y", "  pool = console", "  msvc_deps_prefix = m")},
	{name: "IndentedComments", files: manifest("   # nothing yet", "rule cp", "  command = cp $in $out", "  # generator = 1",
		"  restat = 1 # kept", "    # more", "build b: cp a", "  # end"),
		edges: []string{"build b: cp a # cp a b"}},
	{name: "IndentedBlankLines", files: manifest("   ", cpRule, "   ", "build b: cp a", "   ", "after=yes"),
		edges: []string{"build b: cp a # cp a b"}, vars: map[string]string{"after": "yes"}},
	{name: "ResponseFiles", files: manifest("rule ar", "  command = ar @$rspfile", "  rspfile = $rspfile",
		"  rspfile_content = $in", "build a: ar b", "  rspfile = a.rsp"),
		edges: []string{"build a: ar b # ar @a.rsp"}},
	{name: "InNewline", files: manifest("rule ar", "  command = ar $in_newline", "build a: ar b c"),
		edges: []string{"build a: ar b c # ar b\nc"}},
	{name: "Variables", files: manifest("o = -O2", "rule cc", "  command = cc $o $more $with_line -o $out $in", "",
		"more = -g", "with_line = -l", "build a: cc b c", "one = 1", "two = $one/2", "build d: cc e", "  more = $two/3"),
		edges: []string{"build a: cc b c # cc -O2 -g -l -o a b c", "build d: cc e # cc -O2 1/2/3 -l -o d e"},
		vars:  map[string]string{"two": "1/2", "nowhere": ""}},
	{name: "ScopeOfAnEdge", files: manifest("v = around", "rule say", "  command = say $v", "build in: say", "  v = mine",
		"build out: say", ""),
		edges: []string{"build in: say # say mine", "build out: say # say around"}},
	{name: "VariablesOfABlockDoNotSeeEachOther", files: manifest("v = around", "rule say", "  command = say $w",
		"build a: say", "  v = mine", "  w = $v"),
		edges: []string{"build a: say # say around"}},
	{name: "PathsSeeTheBlock", files: manifest(noRule, "build $d/o: r $d/i", "  d = dir"),
		edges: []string{"build dir/o: r dir/i # r"}},
	{name: "Continuation", files: manifest("rule ln", "  command = one two $", "      three", "", "build a: ln b $", " c  d"),
		edges: []string{"build a: ln b c d # one two three"}},
	{name: "Backslash", files: manifest(`v = a\b`, `w = a\ b`), vars: map[string]string{"v": `a\b`, "w": `a\ b`}},
	{name: "CommentOnlyAtTheBeginning", files: manifest("# all of it", "v = some # not"), vars: map[string]string{"v": "some # not"}},
	{name: "Dollars", files: manifest("rule r", "  command = ${out}x$$y$$$", "z", "v = $$five", "build $v: r in"),
		edges: []string{"build $five: r in # '$five'x$y$z"}, vars: map[string]string{"v": "$five"}},
	{name: "Spaces", files: manifest(noRule, "build a$ b: r $$c d$$$ e"), edges: []string{"build a b: r $c d$ e # r"}},
	{name: "ColonInAPath", files: manifest(noRule, "build c$:/b: r"), edges: []string{"build c:/b: r # r"}},
	{name: "CanonicalFiles", files: manifest(cpRule, "build o: cp d/1 d//2", "build d/1: cp", "build d/2: cp"),
		edges: []string{"build o: cp d/1 d/2 # cp d/1 d/2 o", "build d/1: cp # cp  d/1", "build d/2: cp # cp  d/2"}},
	{name: "VariableInAPath", files: manifest(cpRule, "d = dir", "build $d/o: cp i"), edges: []string{"build dir/o: cp i # cp i dir/o"}},
	{name: "CanonicalPaths", files: manifest(cpRule, "build ./o: cp ./a/b/../c"), edges: []string{"build o: cp a/c # cp a/c o"}},
	{name: "PhonySelfReferenceIsDropped", files: manifest("build a: phony a"), edges: []string{"build a: phony"}},
	{name: "PhonySelfReferenceAmongOthers", files: manifest("build a: phony b || c a"), edges: []string{"build a: phony b || c"}},
	{name: "KeywordsAsNames", files: manifest("rule rule", "  command = build $out", "build subninja: rule include default pool",
		"default subninja"), edges: []string{"build subninja: rule include default pool # build subninja"}},
	{name: "SeveralOutputs", files: manifest("rule cc", "  command = x", "  depfile = d", "build a b: cc c"),
		edges: []string{"build a b: cc c # x"}},
	{name: "SeveralOutputsWithDeps", files: manifest("rule cc", "  command = x", "  deps = gcc", "build a b: cc c"),
		edges: []string{"build a b: cc c # x"}},
	{name: "Subninja", files: manifest("dir = d/", "rule v", "  command = v $v", "v = outer", "build $dir/a: v",
		"subninja sub", "build $dir/c: v").with("sub", "v = inner", "build $dir/b: v"),
		edges: []string{"build d/a: v # v outer", "build d/b: v # v inner", "build d/c: v # v outer"},
		vars:  map[string]string{"v": "outer"}},
	{name: "SubninjaHasItsOwnRules", files: manifest("rule v", "  command = mine", "subninja sub", "build a: v").
		with("sub", "rule v", "  command = its", "build b: v"),
		edges: []string{"build b: v # its", "build a: v # mine"}},
	{name: "SubninjaSeesRulesAround", files: manifest("include rules", "subninja sub", "build a : v").
		with("rules", "rule v", "  command = one").with("sub", "include rules", "build b : v"),
		edges: []string{"build b: v # one", "build a: v # one"}},
	{name: "SubninjaMayCallARulePhony", files: manifest("subninja sub").
		with("sub", "rule phony", "  command = real", "build a: phony"),
		edges: []string{"build a: phony # real"}},
	{name: "Include", files: manifest("v = outer", "include sub").with("sub", "v = inner"), vars: map[string]string{"v": "inner"}},
	{name: "Implicit", files: manifest(cpRule, "build a: cp b | c"), edges: []string{"build a: cp b | c # cp b a"}},
	{name: "OrderOnly", files: manifest(cpRule, "build a: cp b || c"), edges: []string{"build a: cp b || c # cp b a"}},
	{name: "Validation", files: manifest(cpRule, "build a: cp b |@ c d"), edges: []string{"build a: cp b |@ c d # cp b a"}},
	{name: "AllKindsAtOnce", files: manifest(cpRule, "build a|b:cp c|d||e|@f"), edges: []string{"build a | b: cp c | d || e |@ f # cp c a"}},
	{name: "ImplicitOutput", files: manifest(cpRule, "build a | b: cp c"), edges: []string{"build a | b: cp c # cp c a"}},
	{name: "NoImplicitOutput", files: manifest(cpRule, "build a | : cp c"), edges: []string{"build a: cp c # cp c a"}},
	{name: "OnlyImplicitOutputs", files: manifest(cpRule, "build | b : cp c"), edges: []string{"build | b: cp c # cp c "}},
	{name: "UTF8", files: manifest("rule r", "  command = ä", "  description = ö", "build ü: r"), edges: []string{"build ü: r # ä"}},
	{name: "CRLFComment", files: memory{"input": "# all\r\n"}},
	{name: "CRLFInOneLine", files: memory{"input": "a = 1\nb = 2\r\n"}, vars: map[string]string{"a": "1", "b": "2"}},
	{name: "CRLF", files: memory{"input": "pool p\r\n  depth = 15\r\n\r\nrule r\r\n  command = a$\r\n   b $c \r\n" +
		"  description = d\r\nbuild x: r y\r\n"}, edges: []string{"build x: r y # ab  "}},
	{name: "RuleVariablesInScope", files: manifest("rule r", "  depfile = x", "  command = $depfile is it", "build o: r"),
		edges: []string{"build o: r # x is it"}},
	{name: "EdgeOverridesRule", files: manifest("rule r", "  depfile = x", "  command = $depfile is it", "build o: r", "  depfile = y"),
		edges: []string{"build o: r # y is it"}},
	{name: "QuotedPaths", files: manifest(cpRule, `build a$ b: cp it's x$ y$$ no"c`),
		edges: []string{`build a b: cp it's x y$ no"c # cp 'it'\''s' 'x y$' 'no"c' 'a b'`}},
	{name: "TextEndsAtNUL", files: memory{"input": "a = 1\n\x00b = "}, vars: map[string]string{"a": "1", "b": ""}},
	{name: "EmptyValue", files: manifest("v =", "w = $v"), vars: map[string]string{"v": "", "w": ""}},
}

func TestMeaning(t *testing.T) {
	for _, tc := range manifests {
		t.Run(tc.name, func(t *testing.T) {
			g := load(t, tc.files)
			if got := describedAll(g); !slices.Equal(got, tc.edges) {
				wantLines(t, "edges", got, tc.edges)
			}
			for name, want := range tc.vars {
				if got := g.Scope.Lookup(name); got != want {
					t.Errorf("$%s = %q, want %q", name, got, want)
				}
			}
		})
	}
}

// TestBindings covers graph_test's DepfileOverride and DepfileOverrideParent, and
// whose value counts in the corners that ninja's documentation leaves open.
func TestBindings(t *testing.T) {
	for _, tc := range []struct {
		name     string
		files    memory
		binding  string
		want     string
		wantFlag bool
	}{
		{"Rule", manifest("rule r", "  command = c", "  restat = 1", "build o: r"), "restat", "1", true},
		{"NotSaid", manifest(noRule, "build o: r"), "generator", "", false},
		{"Emptied", manifest("rule r", "  command = c", "  restat = 1", "build o: r", "  restat ="), "restat", "", false},
		{"EdgeOverridesRule", manifest("rule r", "  command = c", "  depfile = x", "build o: r", "  depfile = y"), "depfile", "y", true},
		{"Around", manifest("deps = gcc", noRule, "build o: r"), "deps", "gcc", true},
		{"AroundBeforeRuleWithoutABlock", manifest("depfile = x", "rule r", "  command = c", "  depfile = y", "build o: r"), "depfile", "x", true},
		{"RuleBeforeAroundWithABlock", manifest("depfile = x", "rule r", "  command = c", "  depfile = y", "build o: r", "  a = 1"), "depfile", "y", true},
		{"RspfileAroundIsHiddenByABlock", manifest("rspfile = x", noRule, "build o: r", "  a = 1"), "rspfile", "", false},
		{"Description", manifest("rule r", "  command = c", "  description = CC $out", "build o$ 1: r"), "description", "CC 'o 1'", true},
		{"AnyVariable", manifest("rule r", "  command = c", "build o: r", "  mine = $$"), "mine", "$", true},
		{"In", manifest(noRule, "build o: r a b$ c | d"), "in", "a 'b c'", true},
		{"Out", manifest(noRule, "build o p | q: r"), "out", "o p", true},
		{"PhonyToo", manifest("depfile = x", "build o: phony"), "depfile", "x", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := load(t, tc.files).Lookup("o")
			if e == nil {
				e = load(t, tc.files).Nodes[0]
			}
			got, err := e.In.Binding(tc.binding)
			if err != nil || got != tc.want {
				t.Errorf("%s = %q, %v; want %q", tc.binding, got, err, tc.want)
			}
			if flag, _ := e.In.Flag(tc.binding); flag != tc.wantFlag {
				t.Errorf("Flag(%s) = %v", tc.binding, flag)
			}
		})
	}
}

// TestPathsForTheSystem says which values are not quoted for a shell.
func TestPathsForTheSystem(t *testing.T) {
	e := load(t, manifest("rule r", "  command = cc @$rspfile", "  depfile = $out.d", "  rspfile = $out.rsp",
		"  rspfile_content = $in", "  deps = gcc", "  generator = 1", "  restat = yes", "build a$ b: r c$ d")).Edges[0]
	for _, tc := range []struct {
		name string
		of   func() (string, error)
		want string
	}{
		{"Depfile", e.Depfile, "a b.d"},
		{"Rspfile", e.Rspfile, "a b.rsp"},
		{"RspfileContent", e.RspfileContent, "'c d'"},
		{"Deps", e.Deps, "gcc"},
		{"Command", e.Command, "cc @'a b'.rsp"},
	} {
		if got, err := tc.of(); err != nil || got != tc.want {
			t.Errorf("%s = %q, %v; want %q", tc.name, got, err, tc.want)
		}
	}
	if generator, err := e.Generator(); !generator || err != nil {
		t.Error("it is no generator")
	}
	if restat, err := e.Restat(); !restat || err != nil {
		t.Error("it does not restat")
	}
	hashed, err := e.AppendCommand([]byte("> "), ninja.WithRspfile)
	if want := "> cc @'a b'.rsp;rspfile='c d'"; err != nil || string(hashed) != want {
		t.Errorf("AppendCommand = %q, %v; want %q", hashed, err, want)
	}
	plain := load(t, manifest(noRule, "build o: r")).Edges[0]
	if hashed, err := plain.AppendCommand(nil, ninja.WithRspfile); err != nil || string(hashed) != "r" {
		t.Errorf("AppendCommand = %q, %v", hashed, err)
	}
}

// TestPools covers the pools of manifest_parser_test; its faults are with the
// others.
func TestPools(t *testing.T) {
	g := load(t, manifest("n = 4", "pool p", "  depth = $n", "pool none", "  depth = 0", "pool odd", "  depth = 2x",
		"rule r", "  command = r", "  pool = p", "build a: r", "build b: r", "  pool = console", "build c: r", "  pool =",
		"build d: r", "  pool = none", "build e: r", "  pool = odd"))
	want := []ninja.Pool{{Name: "p", Depth: 4}, {Name: "console", Depth: 1}, {}, {Name: "none"}, {Name: "odd", Depth: 2}}
	for i, e := range g.Edges {
		if *e.Pool != want[i] {
			t.Errorf("%s is in %+v, want %+v", e.Outputs[0].Path, *e.Pool, want[i])
		}
		if e.Console() != (want[i].Name == "console") {
			t.Errorf("%s: Console = %v", e.Outputs[0].Path, e.Console())
		}
	}
}

// TestDefaults covers manifest_parser_test's DefaultDefault,
// DefaultDefaultCycle and DefaultStatements.
func TestDefaults(t *testing.T) {
	for _, tc := range []struct {
		name  string
		files memory
		want  []string
		err   error
	}{
		{"None", manifest(noRule, "build a: r s", "build b: r s", "build c: r a"), []string{"b", "c"}, nil},
		{"Cycle", manifest(noRule, "build a: r a"), []string{}, ninja.ErrNoRoots},
		{"Said", manifest(noRule, "build a: r s", "build b: r s", "build c: r s", "build d: r s", "third = c",
			"default a ./b", "default $third"), []string{"a", "b", "c"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			nodes, err := load(t, tc.files).DefaultNodes()
			if err != tc.err {
				t.Errorf("error = %v, want %v", err, tc.err)
			}
			wantLines(t, "defaults", paths(nodes), tc.want)
		})
	}
}

// TestDyndepBinding covers manifest_parser_test's Dyndep*; DyndepNotInput is
// among the faults.
func TestDyndepBinding(t *testing.T) {
	for _, tc := range []struct {
		name  string
		files memory
		want  string
	}{
		{"NotSaid", manifest(noRule, "build o: r i"), ""},
		{"Explicit", manifest(noRule, "build o: r dd", "  dyndep = ./dd"), "dd"},
		{"Implicit", manifest(noRule, "build o: r i | dd", "  dyndep = dd"), "dd"},
		{"OrderOnly", manifest(noRule, "build o: r i || dd", "  dyndep = dd"), "dd"},
		{"ByTheRule", manifest("rule r", "  command = r", "  dyndep = $in", "build o: r d$ d"), "d d"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := load(t, tc.files).Lookup("o").In.Dyndep
			if n == nil {
				if tc.want != "" {
					t.Errorf("no dyndep file, want %s", tc.want)
				}
				return
			}
			if n.Path != tc.want || !n.DyndepPending {
				t.Errorf("dyndep = %s (pending %v), want %s", n.Path, n.DyndepPending, tc.want)
			}
		})
	}
}

func TestRulesAreKeptAsWritten(t *testing.T) {
	g := load(t, manifest("rule b", "  command = x $in ${out}y $$z", "  description = two $", "    lines", "rule a", "  command = a"))
	names := []string{}
	for _, r := range g.Scope.Rules() {
		names = append(names, r.Name)
	}
	wantLines(t, "rules", names, []string{"a", "b", "phony"})
	for name, want := range map[string]string{"command": "x ${in} ${out}y $z", "description": "two lines"} {
		if v, ok := g.Scope.Rule("b").Binding(name); !ok || v.String() != want {
			t.Errorf("%s = %q, %v; want %q", name, v, ok, want)
		}
	}
	if _, ok := g.Scope.Rule("b").Binding("depfile"); ok {
		t.Error("the rule says depfile")
	}
	if _, ok := g.Scope.Rule("b").Binding("other"); ok {
		t.Error("the rule says other")
	}
}
