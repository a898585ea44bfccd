package project_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/buildnet/buildnet/node/project"
	"github.com/buildnet/buildnet/sched/action"
)

// theStep plans a configuration of package a and returns one of its steps.
func theStep(t *testing.T, id, body string, files ...string) project.Step {
	t.Helper()
	return stepOf(t, mustPlan(t, one(body), files...), id)
}

func TestCommandsAreWrittenOut(t *testing.T) {
	for name, tc := range map[string]struct {
		id, body string
		files    []string
		want     []string
	}{
		"Shell":   {"a", "    build_cmd: make all\n", nil, []string{"/bin/sh", "-e", "-c", "make all"}},
		"List":    {"a", "    build_cmd: [make, -j, 4, '']\n", nil, []string{"make", "-j", "4", ""}},
		"Literal": {"a", "    build_cmd: |\n      one\n      two\n", nil, []string{"/bin/sh", "-e", "-c", "one\ntwo\n"}},
		"Match": {"a:out/x/y.tar.o", "    path: p\n    steps:\n      - {foreach: '**/*.gz', run: [cc, '{in}', '-d{dir}', '{stem}+{ext}', '{outputs}'], outputs: ['out/{dir}/{stem}.o']}\n",
			[]string{"p/x/y.tar.gz"}, []string{"cc", "x/y.tar.gz", "-dx", "y.tar+.gz", "out/x/y.tar.o"}},
		"MatchAtTheTop": {"a:out/y.o", "    steps:\n      - {foreach: '*.c', run: [cc, '{dir}'], outputs: ['out/{dir}/{stem}.o']}\n",
			[]string{"y.c"}, []string{"cc", "."}},
		"MatchFromTheRoot": {"a:y.o", "    path: p/q\n    steps:\n      - {foreach: '/src/*.c', run: [cc, '{in}'], outputs: ['{stem}.o']}\n",
			[]string{"src/y.c"}, []string{"cc", "../../src/y.c"}},
		"NoExtension": {"a:.profile.o", "    steps:\n      - {foreach: '.p*', run: [cc, '{stem}', '[{ext}]'], outputs: ['{stem}.o']}\n",
			[]string{".profile"}, []string{"cc", ".profile", "[]"}},
		"OutputsInAList": {"a:lib.a", "    steps:\n      - {run: x, outputs: [o/b.o, o/a.o]}\n      - {run: [ar, '{outputs:o/*.o}', '-Wl,{outputs:o/*.o}'], outputs: [lib.a]}\n",
			nil, []string{"ar", "o/a.o", "o/b.o", "-Wl,o/a.o o/b.o"}},
		"OutputsInAShell": {"a:lib.a", "    steps:\n      - {run: x, outputs: ['o/b c.o', 'o/a$.o']}\n      - {run: 'ar {outputs} {outputs:o/{a,b}*}', outputs: [lib.a]}\n",
			nil, []string{"/bin/sh", "-e", "-c", `ar lib.a 'o/a$.o' 'o/b c.o'`}},
		"QuotedInAShell": {"a:o", "    steps:\n      - {foreach: '*.c', run: 'cc {in} {stem}', outputs: [o]}\n",
			[]string{"it's.c"}, []string{"/bin/sh", "-e", "-c", `cc 'it'\''s.c' 'it'\''s'`}},
		"NoOptionByAccident": {"a:o", "    steps:\n      - {foreach: '*.c', run: [cc, '{in}'], outputs: [o]}\n",
			[]string{"-x.c"}, []string{"cc", "./-x.c"}},
		"OtherBraces": {"a", "    build_cmd: \"awk '{print $1}' ${in} {a,b} {} {{in}} {Foo} \\\\{print} \\\\{3\\\\}\"\n", nil,
			[]string{"/bin/sh", "-e", "-c", `awk '{print $1}' ${in} {a,b} {} {{in}} {Foo} {print} \{3\}`}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, theStep(t, tc.id, tc.body, tc.files...).Argv); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSourcesAreWhatGlobsMatch(t *testing.T) {
	for name, tc := range map[string]struct {
		id, body string
		files    []string
		want     []string
	}{
		"Relative":       {"a", "    path: p\n    build_cmd: x\n    sources: ['*.c', 'sub/**/*.h']\n", []string{"p/a.c", "p/sub/b.h", "p/sub/x/c.h", "q.c"}, []string{"p/a.c", "p/sub/b.h", "p/sub/x/c.h"}},
		"OneString":      {"a", "    build_cmd: x\n    sources: '*.c'\n", []string{"a.c"}, []string{"a.c"}},
		"FromTheRoot":    {"a", "    path: p\n    build_cmd: x\n    sources: ['/*.c', ./b.c]\n", []string{"a.c", "p/b.c"}, []string{"a.c", "p/b.c"}},
		"Excluded":       {"a", "    build_cmd: x\n    sources: ['!**/b*', '**']\n", []string{"a.c", "b.c", "x/b", "x/c"}, []string{"a.c", "x/c"}},
		"Escaped":        {"a", "    build_cmd: x\n    sources: ['\\[id].js']\n", []string{"[id].js"}, []string{"[id].js"}},
		"MetaInPath":     {"a", "    path: '[p]'\n    build_cmd: x\n    sources: ['*.c']\n", []string{"[p]/a.c", "p/b.c"}, []string{"[p]/a.c"}},
		"ByName":         {"a", "    build_cmd: x\n    sources: ['**/go.mod']\n", []string{"go.mod", "x/go.mod", "x/go.sum"}, []string{"go.mod", "x/go.mod"}},
		"Default":        {"a", "    path: p\n    build_cmd: x\n", []string{"p/a", "p/b/c", "q"}, []string{"p/a", "p/b/c"}},
		"None":           {"a", "    build_cmd: x\n    sources: []\n", []string{"a"}, nil},
		"Reserved":       {"a", "    build_cmd: x\n", []string{".git/HEAD", ".buildnet/config.yaml", "sub/.git", "a", ".gitignore"}, []string{".gitignore", "a"}},
		"NotOutputs":     {"a", "    build_cmd: x\n    outputs: [out, f]\n", []string{"a", "out/b", "f"}, []string{"a"}},
		"NotOutputDir":   {"a", "    build_cmd: x\n    output_dir: dist\n", []string{"a", "dist/b"}, []string{"a"}},
		"StepsDefault":   {"a:o", "    steps: [{run: x, outputs: [o]}]\n", []string{"a"}, nil},
		"StepsSources":   {"a:o", "    sources: ['*.json']\n    steps: [{run: x, inputs: [a.c], outputs: [o]}]\n", []string{"a.c", "b.json"}, []string{"a.c", "b.json"}},
		"OneInput":       {"a:o", "    steps: [{run: x, inputs: a.c, outputs: [o]}]\n", []string{"a.c"}, []string{"a.c"}},
		"Foreach":        {"a:b.o", "    steps: [{foreach: '*.c', run: x, inputs: ['*.h'], outputs: ['{stem}.o']}]\n", []string{"a.c", "b.c", "a.h", "c.h"}, []string{"a.h", "b.c", "c.h"}},
		"ForeachInputs":  {"a:x/[b].o", "    steps: [{foreach: ['**/*.c', '!y/**'], run: x, inputs: ['{dir}/{stem}.*'], outputs: ['{dir}/{stem}.o']}]\n", []string{"x/[b].c", "x/[b].h", "x/b.h", "y/z.c"}, []string{"x/[b].c", "x/[b].h"}},
		"Links":          {"a", "    build_cmd: x\n    sources: [l, d]\n", []string{"l -> m", "m -> f", "f", "d -> e", "e/1", "e/2", "g"}, []string{"d", "e/1", "e/2", "f", "l", "m"}},
		"LinkedForeach":  {"a:l.o", "    steps: [{foreach: '*.c', run: x, outputs: ['{stem}.o']}]\n", []string{"l.c -> sub/f", "sub/f"}, []string{"l.c", "sub/f"}},
		"LinkToAnOutput": {"a:o", "    steps: [{run: x, inputs: [l], outputs: [o]}, {run: y, outputs: [d]}]\n", []string{"l -> d", "d -> /elsewhere"}, []string{"l"}},
		"LinkInACircle":  {"a", "    build_cmd: x\n", []string{"l -> m", "m -> l"}, []string{"l", "m"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, theStep(t, tc.id, tc.body, tc.files...).Sources); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDefaultSourcesLeaveNestedPackagesOut(t *testing.T) {
	p := mustPlan(t, "version: 1\npackages:\n  - {name: root, build_cmd: x}\n  - {name: lib, path: lib, build_cmd: x}\n", "a", "lib/b", "lib/sub/c", "other/d")
	if diff := cmp.Diff([]string{"a", "other/d"}, stepOf(t, p, "root").Sources); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"lib/b", "lib/sub/c"}, stepOf(t, p, "lib").Sources); diff != "" {
		t.Error(diff)
	}
}

func TestStepsAreCalledByTheirFirstOutput(t *testing.T) {
	p := mustPlan(t, `version: 1
packages:
  - {name: one, path: p, build_cmd: x, outputs: [z, y]}
  - name: many
    path: q
    steps:
      - {run: x, outputs: [z, y]}
      - {run: x}
      - {foreach: "*.c", run: x}
`, "q/a.c")
	var got []string
	for _, s := range p.Steps {
		got = append(got, string(s.ID)+" "+strings.Join(s.Outputs, ","))
	}
	if diff := cmp.Diff([]string{"one p/y,p/z", "many:z q/y,q/z", "many:/check-2 ", "many:/check-3/q/a.c "}, got); diff != "" {
		t.Error(diff)
	}
}

const chain = `version: 1
packages:
  - name: app
    path: app
    dependencies: [lib]
    steps:
      - {run: x, outputs: [one]}
      - {run: x, inputs: [one, /base/gen.h], outputs: [two]}
  - name: lib
    path: lib
    dependencies: [base]
    build_cmd: x
    outputs: [lib.a]
  - name: base
    path: base
    steps:
      - {run: x, outputs: [gen.h, gen.c]}
      - {run: x, inputs: [gen.c], outputs: [gen.o]}
      - {run: check, inputs: [gen.o]}
`

func TestStepsSeeWhatTheirPackageDependsOnTransitively(t *testing.T) {
	p := mustPlan(t, chain)
	for id, want := range map[string][]action.Dep{
		"app:one":       {{Step: "base:gen.h"}, {Step: "base:gen.o"}, {Step: "lib"}},
		"app:two":       {{Step: "app:one", Paths: []string{"app/one"}}, {Step: "base:gen.h"}, {Step: "base:gen.o"}, {Step: "lib"}},
		"lib":           {{Step: "base:gen.h"}, {Step: "base:gen.o"}},
		"base:gen.o":    {{Step: "base:gen.h", Paths: []string{"base/gen.c"}}},
		"base:/check-3": {{Step: "base:gen.o", Paths: []string{"base/gen.o"}}},
	} {
		if diff := cmp.Diff(want, stepOf(t, p, id).Deps); diff != "" {
			t.Errorf("%s: %s", id, diff)
		}
	}
	var order []string
	for _, pkg := range p.Packages {
		order = append(order, pkg.Name)
	}
	if diff := cmp.Diff([]string{"base", "lib", "app"}, order); diff != "" {
		t.Error(diff)
	}
}

func TestOutputsOfAPackageOfStepsNarrowWhatOthersSee(t *testing.T) {
	narrowed := strings.Replace(chain, "    path: base\n", "    path: base\n    outputs: ['*.h', gen.o]\n", 1)
	p := mustPlan(t, strings.Replace(narrowed, "/base/gen.h", "/base/gen.c", 1))
	want := []action.Dep{{Step: "base:gen.h", Paths: []string{"base/gen.h"}}, {Step: "base:gen.o", Paths: []string{"base/gen.o"}}}
	if diff := cmp.Diff(want, stepOf(t, p, "lib").Deps); diff != "" {
		t.Error(diff)
	}
	want = []action.Dep{
		{Step: "app:one", Paths: []string{"app/one"}},
		{Step: "base:gen.h", Paths: []string{"base/gen.c", "base/gen.h"}},
		{Step: "base:gen.o", Paths: []string{"base/gen.o"}},
		{Step: "lib"},
	}
	if diff := cmp.Diff(want, stepOf(t, p, "app:two").Deps); diff != "" {
		t.Error(diff)
	}
}

func TestInputsThatAreOutputsAreEdges(t *testing.T) {
	const body = `    path: p
    steps:
      - {foreach: "*.y", run: x, outputs: ["gen/{stem}.c"]}
      - {foreach: "gen/*.c", run: x, outputs: ["obj/{stem}.o"]}
      - {run: x, outputs: [tree]}
      - {run: x, inputs: ["obj/*", "tree/deep/**", "!obj/b.o"], outputs: [all]}
`
	edges := map[string][]action.Dep{
		"a:obj/a.o": {{Step: "a:gen/a.c", Paths: []string{"p/gen/a.c"}}},
		"a:all":     {{Step: "a:obj/a.o", Paths: []string{"p/obj/a.o"}}, {Step: "a:tree", Paths: []string{"p/tree"}}},
	}
	clean := mustPlan(t, one(body), "p/a.y", "p/b.y")
	for id, want := range edges {
		if diff := cmp.Diff(want, stepOf(t, clean, id).Deps); diff != "" {
			t.Errorf("%s: %s", id, diff)
		}
	}
	// What a build has left on disk changes nothing.
	built := mustPlan(t, one(body), "p/a.y", "p/b.y", "p/gen/a.c", "p/obj/a.o", "p/obj/b.o", "p/tree/deep/x", "p/all")
	if diff := cmp.Diff(clean, built); diff != "" {
		t.Error(diff)
	}
}

func TestForeachDoesNotMatchWhatItMade(t *testing.T) {
	const body = "    steps: [{foreach: '**/*.txt', run: x, outputs: ['out/{dir}/{stem}.txt']}]\n"
	clean := mustPlan(t, one(body), "a/b.txt")
	built := mustPlan(t, one(body), "a/b.txt", "out/a/b.txt")
	if diff := cmp.Diff(clean, built); diff != "" || len(clean.Steps) != 1 {
		t.Errorf("%d steps: %s", len(clean.Steps), diff)
	}
}

func TestTheNarrowerSettingWins(t *testing.T) {
	p := mustPlan(t, `version: 1
env: {A: top, B: top, C: top}
pass_env: [P, Q]
timeout: 2h
toolchains: [/opt/z/]
platform: {os: linux}
packages:
  - name: a
    env: {B: package, P: package}
    pass_env: [C]
    memory: 1GiB
    tools: [cc]
    network: true
    sandbox: none
    toolchains: [/opt/b]
    platform: {arch: arm64}
    hooks: {pre_build: before, post_build: after}
    output_dir: dist
    steps:
      - {run: x, outputs: [one]}
      - {run: x, outputs: [two], env: {C: 1.50}, pass_env: [B, P], timeout: 90s, memory: 1024, tools: [ld, ar, ld], network: false, sandbox: full, platform: {os: darwin}}
`)
	want := project.Step{
		ID: "a:one", Package: "a", Argv: []string{"/bin/sh", "-e", "-c", "x"}, Outputs: []string{"one"},
		Env:     []action.Property{{Name: "A", Value: "top"}, {Name: "B", Value: "package"}, {Name: "P", Value: "package"}},
		PassEnv: []string{"C", "Q"}, Timeout: 2 * time.Hour, MemoryBytes: 1 << 30, Tools: []string{"cc"},
		Platform:      []action.Property{{Name: "Arch", Value: "arm64"}, {Name: "OSFamily", Value: "linux"}},
		ToolchainDirs: []string{"/opt/b", "/opt/z"}, Network: true, Unsandboxed: true,
	}
	if diff := cmp.Diff(want, stepOf(t, p, "a:one")); diff != "" {
		t.Error(diff)
	}
	want.ID, want.Outputs, want.Timeout, want.MemoryBytes = "a:two", []string{"two"}, 90*time.Second, 1024
	want.Tools, want.Network, want.Unsandboxed = []string{"ar", "ld"}, false, false
	want.Env = []action.Property{{Name: "A", Value: "top"}, {Name: "C", Value: "1.50"}}
	want.PassEnv, want.Platform = []string{"B", "P", "Q"}, []action.Property{{Name: "Arch", Value: "arm64"}, {Name: "OSFamily", Value: "darwin"}}
	if diff := cmp.Diff(want, stepOf(t, p, "a:two")); diff != "" {
		t.Error(diff)
	}
	wantPackage := project.Package{
		Name: "a", Steps: []action.StepID{"a:one", "a:two"}, OutputDirs: []string{"dist"}, PreBuild: "before", PostBuild: "after",
		Env: stepOf(t, p, "a:one").Env, PassEnv: []string{"C", "Q"},
	}
	if diff := cmp.Diff(wantPackage, p.Packages[0]); diff != "" {
		t.Error(diff)
	}
}

func TestDefaultTimeoutIsAnHour(t *testing.T) {
	if got := theStep(t, "a", "    build_cmd: x\n").Timeout; got != time.Hour {
		t.Errorf("timeout = %v, want 1h", got)
	}
}

func TestAnchorsAndMergeKeysWork(t *testing.T) {
	p := mustPlan(t, `version: 1
packages:
  - name: a
    env: &common {A: "1"}
    steps:
      - &compile {run: x, outputs: [one], timeout: 5m}
      - {<<: *compile, outputs: [two], env: *common}
`)
	two := stepOf(t, p, "a:two")
	if two.Timeout != 5*time.Minute || len(two.Env) != 1 {
		t.Errorf("step = %+v", two)
	}
}

func TestJSONMeansTheSameAsYAML(t *testing.T) {
	yaml := mustPlan(t, one("    build_cmd: [make, \"{outputs}\"]\n    env: {A: 1, B: true}\n    outputs: [x]\n"), "f")
	c, err := project.Parse("config.json", []byte("{\"version\": 1,\n\t\"packages\": [{\"name\": \"a\", \"build_cmd\": [\"make\", \"{outputs}\"], \"env\": {\"A\": 1, \"B\": true}, \"outputs\": [\"x\"]}]}"))
	if err != nil {
		t.Fatal(err)
	}
	json, err := c.Plan(filesOf("f"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(yaml, json); diff != "" {
		t.Error(diff)
	}
}

func TestSelectFindsTargets(t *testing.T) {
	p := mustPlan(t, chain+`  - name: tool
    path: tool
    build_cmd: x
    output_dir: dist
`)
	base := []action.StepID{"base:gen.h", "base:gen.o"}
	for name, tc := range map[string]struct {
		targets []string
		want    []action.StepID
	}{
		"Package":          {[]string{"lib"}, append(base[:2:2], "lib")},
		"Step":             {[]string{"base:gen.o"}, base},
		"Check":            {[]string{"base:/check-3"}, append(base[:2:2], "base:/check-3")},
		"LaterOutput":      {[]string{"base:gen.c"}, base[:1]},
		"Path":             {[]string{"./base/gen.c"}, base[:1]},
		"DirectoryAbove":   {[]string{"base/"}, base},
		"WithinADirectory": {[]string{"tool/dist/index.js"}, []action.StepID{"tool"}},
		"Several":          {[]string{"tool", "base/gen.h"}, []action.StepID{"base:gen.h", "tool"}},
		"Everything":       {nil, []action.StepID{"base:gen.h", "base:gen.o", "base:/check-3", "lib", "app:one", "app:two", "tool"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := p.Select(tc.targets)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestUnknownTargetsAreNamedWithWhatIsNear(t *testing.T) {
	_, err := mustPlan(t, chain).Select([]string{"lbi", "base:gen.x", "nothing/like/it"})
	if !errors.Is(err, project.ErrUnknownTarget) {
		t.Fatalf("Select = %v, want ErrUnknownTarget", err)
	}
	want := `unknown target "lbi"; did you mean lib?
unknown target "base:gen.x"; did you mean base:gen.h, base:gen.o, base/gen.c?
unknown target "nothing/like/it"; name a package (base, lib, app), a step or an output`
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Error(diff)
	}
}
