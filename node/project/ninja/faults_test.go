package ninja_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/node/project/ninja"
)

// faults are manifests that are wrong, and what is said of them. They cover
// the Errors of ninja's manifest_parser_test (40 of 40), its MissingInput,
// MissingSubNinja, BrokenInclude, DyndepNotInput and the duplicate outputs as
// errors, and graph_test's case of a cycle among rule variables.
var faults = []struct {
	name  string
	files memory
	want  string
}{
	{"KeywordCutOff", memory{"input": "subn"}, "input:1: expected '=', got eof\nsubn\n    ^ near here"},
	{"NameOnly", memory{"input": "variable"}, "input:1: expected '=', got eof\nvariable\n        ^ near here"},
	{"NoEquals", memory{"input": "a 7"}, "input:1: expected '=', got identifier\na 7\n  ^ near here"},
	{"NoLineEnd", memory{"input": "a = 7"}, "input:1: unexpected EOF\na = 7\n     ^ near here"},
	{"SecondLine", memory{"input": "a = 7\nb 8"}, "input:2: expected '=', got identifier\nb 8\n  ^ near here"},
	{"DollarAtTheEnd", memory{"input": "a = $"}, "input:1: bad $-escape (literal $ must be written as $$)\na = $\n    ^ near here"},
	{"BadEscapeAfterContinuation", memory{"input": "a = $\n $(\n"},
		"input:2: bad $-escape (literal $ must be written as $$)\n $(\n ^ near here"},
	{"EndAfterContinuation", memory{"input": "a = b$\n c$\n $\n"}, "input:4: unexpected EOF\n"},
	{"NoOutput", manifest("build"), "input:1: expected path\nbuild\n     ^ near here"},
	{"NoOutputBeforeColon", manifest("build : phony"), "input:1: expected path\nbuild : phony\n      ^ near here"},
	{"NoOutputBehindBar", manifest("build | : phony"), "input:1: expected path\nbuild | : phony\n        ^ near here"},
	{"UnknownRule", manifest("build a: cp b"), "input:1: unknown build rule 'cp'\nbuild a: cp b\n         ^ near here"},
	{"TwoColons", manifest("build a:: cp b"), "input:1: expected build command name\nbuild a:: cp b\n        ^ near here"},
	{"ColonAmongInputs", manifest(noRule, "build a: r $", " :"), "input:4: expected newline, got ':'\n :\n ^ near here"},
	{"BarAmongInputs", manifest(noRule, "build a: r || b | c"), "input:3: expected newline, got '|'\nbuild a: r || b | c\n                ^ near here"},
	{"EmptyRule", manifest("rule r"), "input:2: expected 'command =' line\n"},
	{"EmptyCommand", manifest("rule r", "  command ="), "input:3: expected 'command =' line\n"},
	{"RuleTwice", manifest(noRule, noRule), "input:3: duplicate rule 'r'\nrule r\n      ^ near here"},
	{"RulePhony", manifest("rule phony"), "input:1: duplicate rule 'phony'\nrule phony\n          ^ near here"},
	{"HalfAResponseFile", manifest(noRule, "  rspfile = r.rsp"), "input:4: rspfile and rspfile_content need to be both specified\n"},
	{"OtherHalfOfAResponseFile", manifest(noRule, "  rspfile_content = r"), "input:4: rspfile and rspfile_content need to be both specified\n"},
	{"OpenBrace", manifest("rule r", "  command = ${open", "a = b"),
		"input:2: bad $-escape (literal $ must be written as $$)\n  command = ${open\n            ^ near here"},
	{"EmptyBraces", manifest("a = ${}"), "input:1: bad $-escape (literal $ must be written as $$)\na = ${}\n    ^ near here"},
	{"BadEscapeInAPath", manifest(noRule, "build $;: r a"),
		"input:3: bad $-escape (literal $ must be written as $$)\nbuild $;: r a\n      ^ near here"},
	{"EscapedColon", manifest(noRule, "build $: r a"),
		"input:3: expected ':', got newline ($ also escapes ':')\nbuild $: r a\n            ^ near here"},
	{"RuleName", manifest("rule *"), "input:1: expected rule name\nrule *\n     ^ near here"},
	{"BehindTheRuleName", manifest("rule a b"), "input:1: expected newline, got identifier\nrule a b\n       ^ near here"},
	{"VariableInARule", manifest(noRule, "  other = x"), "input:3: unexpected variable 'other'\n  other = x\n           ^ near here"},
	{"NoVariable", memory{"input": noRule + "\n  && x"}, "input:3: expected variable name\n  && x\n  ^ near here"},
	{"EmptyDefault", manifest("default"), "input:1: expected target name\ndefault\n       ^ near here"},
	{"UnknownDefault", manifest("default all"), "input:1: unknown target 'all'\ndefault all\n           ^ near here"},
	{"ColonBehindDefault", manifest(noRule, "build a: r", "default a:"), "input:4: expected newline, got ':'\ndefault a:\n         ^ near here"},
	{"DefaultExpandsToNothing", manifest("default $no"), "input:1: empty path\ndefault $no\n           ^ near here"},
	{"PathExpandsToNothing", manifest(noRule, "build $no: r $ne"), "input:4: empty path\n"},
	{"InputExpandsToNothing", manifest(noRule, "build a: r $ne"), "input:4: empty path\n"},
	{"ValidationExpandsToNothing", manifest(noRule, "build a: r |@ $ne"), "input:4: empty path\n"},
	{"BlankLineEndsTheBlock", manifest(noRule, "  ", "  restat = 1"), "input:4: unexpected indent\n"},
	{"UnexpectedWord", manifest("| a"), "input:1: unexpected '|'\n"},
	{"BadEscapeInOutputs", manifest("build a $;: phony"), badEscape("build a $;: phony", 8)},
	{"BadEscapeInImplicitOutputs", manifest("build a | $;: phony"), badEscape("build a | $;: phony", 10)},
	{"BadEscapeInInputs", manifest("build a: phony $;"), badEscape("build a: phony $;", 15)},
	{"BadEscapeInImplicitInputs", manifest("build a: phony | $;"), badEscape("build a: phony | $;", 17)},
	{"BadEscapeInOrderOnlyInputs", manifest("build a: phony || $;"), badEscape("build a: phony || $;", 18)},
	{"BadEscapeInValidations", manifest("build a: phony |@ $;"), badEscape("build a: phony |@ $;", 18)},
	{"BadEscapeInDefaults", manifest("build a: phony", "default a $;"), strings.Replace(badEscape("default a $;", 10), ":1:", ":2:", 1)},
	{"BadEscapeInInclude", manifest("include $;"), badEscape("include $;", 8)},
	{"NoVariableInABlock", manifest("build a: phony", "  | b"), "input:2: expected variable name\n  | b\n  ^ near here"},
	{"NoVariableInAPool", manifest("pool p", "  :"), "input:2: expected variable name\n  :\n  ^ near here"},
	{"BehindThePoolName", manifest("pool p q"), "input:1: expected newline, got identifier\npool p q\n       ^ near here"},
	{"SecondDefaultExpandsToNothing", manifest("build a: phony", "default a $b"), "input:2: empty path\ndefault a $b\n            ^ near here"},
	{"PoolName", manifest("pool"), "input:1: expected pool name\npool\n    ^ near here"},
	{"EmptyPool", manifest("pool p"), "input:2: expected 'depth =' line\n"},
	{"PoolTwice", manifest("pool p", "  depth = 1", "pool p"), "input:3: duplicate pool 'p'\npool p\n      ^ near here"},
	{"PoolOfTheConsole", manifest("pool console"), "input:1: duplicate pool 'console'\npool console\n            ^ near here"},
	{"PoolDepth", manifest("pool p", "  depth = -1"), "input:2: invalid pool depth\n  depth = -1\n            ^ near here"},
	{"VariableInAPool", manifest("pool p", "  size = 1"), "input:2: unexpected variable 'size'\n  size = 1\n          ^ near here"},
	{"UnknownPool", manifest(noRule, "  pool = nowhere", "build a: r"), "input:5: unknown pool name 'nowhere'\n"},
	{"Tab", manifest("a = 1", "\tb = 2"), "input:2: tabs are not allowed, use spaces\n"},
	{"TabInABlock", manifest("rule r", "  \tcommand = x"), "input:2: expected variable name\n  \tcommand = x\n  ^ near here"},
	{"StrayByte", manifest("a = 1", "  %"), "input:2: unexpected indent\n"},
	{"StrayCarriageReturn", memory{"input": "a = b\rc\n"}, "input:1: lexing error\na = b\rc\n     ^ near here"},
	{"CommentWithoutLineEnd", memory{"input": "a = 1\n# open"}, "input:2: lexing error\n"},
	{"LongLine", manifest("b = "+strings.Repeat("long ", 20), "a "+strings.Repeat("b", 90)),
		"input:2: expected '=', got identifier\na " + strings.Repeat("b", 70) + "...\n  ^ near here"},
	{"FarOnALongLine", manifest("a = " + strings.Repeat("long ", 20) + "$("),
		"input:1: bad $-escape (literal $ must be written as $$)\n"},
	{"NoSuchSubninja", manifest("subninja other"),
		"input:1: loading 'other': No such file or directory\nsubninja other\n              ^ near here"},
	{"BrokenInclude", manifest("include other").with("other", "build"), "other:1: expected path\nbuild\n     ^ near here"},
	{"BehindAnInclude", manifest("include other x").with("other"), "input:1: expected newline, got identifier\ninclude other x\n              ^ near here"},
	{"DyndepIsNoInput", manifest(noRule, "build a: r", "  dyndep = dd"), "input:5: dyndep 'dd' is not an input\n"},
	{"OutputTwice", manifest(noRule, "build a b: r", "build a: r c", "build d: r a"), "input:5: multiple rules generate a\n"},
	{"OutputTwiceInASubninja", manifest("subninja other").with("other", noRule, "build a b: r", "build a: r c"),
		"other:5: multiple rules generate a\n"},
	{"OutputTwiceInOneStatement", manifest(noRule, "build a ./a: r"), "input:4: multiple rules generate a\n"},
}

func badEscape(line string, column int) string {
	return "input:1: bad $-escape (literal $ must be written as $$)\n" + line + "\n" + strings.Repeat(" ", column) + "^ near here"
}

func TestFaults(t *testing.T) {
	for _, tc := range faults {
		t.Run(tc.name, func(t *testing.T) {
			_, err := ninja.Load(tc.files, "input", ninja.Options{})
			if err == nil || err.Error() != tc.want {
				t.Errorf("Load says\n%v\nwant\n%s", err, tc.want)
			}
			var syntax *ninja.SyntaxError
			if !errors.As(err, &syntax) || ninja.Fatal(err) {
				t.Errorf("the error is of type %T", err)
			}
		})
	}
}

func TestNoManifest(t *testing.T) {
	_, err := ninja.Load(memory{}, "build.ninja", ninja.Options{})
	if want := "loading 'build.ninja': No such file or directory"; err == nil || err.Error() != want {
		t.Errorf("error = %v, want %s", err, want)
	}
}

// TestCyclesOfRuleVariables: the path is named as ninja does, without the
// binding that was asked for unless it comes again.
func TestCyclesOfRuleVariables(t *testing.T) {
	for _, tc := range []struct {
		name string
		rule []string
		want string
	}{
		{"OfOne", []string{"command = x $command"}, "command -> command"},
		{"OfTwo", []string{"command = $depfile", "depfile = $command"}, "depfile -> command -> depfile"},
		{"BelowWhatWasAsked", []string{"command = $depfile", "depfile = $rspfile", "rspfile = $depfile", "rspfile_content = x"},
			"depfile -> rspfile -> depfile"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			lines := []string{"rule r"}
			for _, l := range tc.rule {
				lines = append(lines, "  "+l)
			}
			g := load(t, manifest(append(lines, "build o: r", "build p: r", "  depfile = d", "  command = c")...))
			_, err := g.Edges[0].Command()
			if want := "cycle in rule variables: " + tc.want; err == nil || err.Error() != want || !ninja.Fatal(err) {
				t.Errorf("error = %v, want %s", err, want)
			}
			if _, err := g.Edges[1].Command(); err != nil {
				t.Errorf("an edge that overrides what makes the cycle: %v", err)
			}
		})
	}
}

func TestABindingUsedTwiceIsNoCycle(t *testing.T) {
	e := load(t, manifest("rule r", "  command = $depfile $depfile", "  depfile = d", "build o: r")).Edges[0]
	if command, err := e.Command(); err != nil || command != "d d" {
		t.Errorf("Command = %q, %v", command, err)
	}
}

func TestACycleInThePoolStopsTheReading(t *testing.T) {
	_, err := ninja.Load(manifest(noRule, "  pool = $pool", "build o: r"), "input", ninja.Options{})
	var cycle *ninja.CycleError
	if !errors.As(err, &cycle) {
		t.Errorf("error = %v", err)
	}
}

// TestLeniency covers manifest_parser_test's duplicate edges as warnings,
// ImplicitOutputDupe and ImplicitOutputDupes, and PhonySelfReferenceKept.
func TestLeniency(t *testing.T) {
	twice := func(path string) string {
		return "multiple rules generate " + path + ". builds involving this target will not be correct; continuing anyway"
	}
	lenient := ninja.Options{Duplicates: ninja.DuplicatesWarn}
	for _, tc := range []struct {
		name  string
		files memory
		opts  ninja.Options
		edges []string
		warns []string
	}{
		{"OneOutputOfTwo", manifest(cpRule, "build a b: cp c", "build a: cp d", "build e: cp a"), lenient,
			[]string{"build a b: cp c # cp c a b", "build e: cp a # cp a e"}, []string{twice("a")}},
		{"WholeEdge", manifest(cpRule, "build a: cp b", "build a: cp b"), lenient,
			[]string{"build a: cp b # cp b a"}, []string{twice("a")}},
		{"ImplicitOfOneStatement", manifest(cpRule, "build a b | a c a: cp d"), lenient,
			[]string{"build a b | c: cp d # cp d a b"}, []string{twice("a"), twice("a")}},
		{"AllOfOneStatement", manifest(cpRule, "build a a a | a a a a: cp b"), lenient,
			[]string{"build a: cp b # cp b a"}, []string{twice("a"), twice("a"), twice("a"), twice("a"), twice("a"), twice("a")}},
		{"PhonyCycle", manifest("build a: phony a"), ninja.Options{},
			[]string{"build a: phony"}, []string{"phony target 'a' names itself as an input; ignoring [-w phonycycle=warn]"}},
		{"PhonyCycleKept", manifest("build a: phony a"), ninja.Options{PhonyCycles: ninja.PhonyCyclesFail},
			[]string{"build a: phony a"}, nil},
		{"PhonyCycleWithImplicitInput", manifest("build a: phony | a"), ninja.Options{},
			[]string{"build a: phony | a"}, nil},
		{"OldVersion", manifest("ninja_required_version = 0.9", "build a: phony"), ninja.Options{}, []string{"build a: phony"},
			[]string{"ninja executable version (1.11.1) greater than build file ninja_required_version (0.9); versions may be incompatible."}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var warns []string
			opts := tc.opts
			opts.Warn = func(s string) { warns = append(warns, s) }
			g, err := ninja.Load(tc.files, "input", opts)
			if err != nil {
				t.Fatal(err)
			}
			checkLinks(t, g)
			wantLines(t, "edges", describedAll(g), tc.edges)
			wantLines(t, "warnings", warns, tc.warns)
		})
	}
}

func TestRequiredVersion(t *testing.T) {
	for version, fits := range map[string]bool{"1": true, "1.3": true, "1.11": true, "1.11.9": true, "1.12": false,
		"2": false, "1.x": true, "": true, "+1.11": true, "1.12.0.git": false, "-1": true} {
		_, err := ninja.Load(manifest("ninja_required_version ="+version, "syntax of"), "input", ninja.Options{})
		var later *ninja.VersionError
		if errors.As(err, &later) == fits {
			t.Errorf("%q: error = %v", version, err)
		}
		if !fits && (!ninja.Fatal(err) || !strings.HasPrefix(err.Error(), "ninja version (1.11.1) incompatible with build file ninja_required_version version (")) {
			t.Errorf("%q: error = %v", version, err)
		}
	}
}
