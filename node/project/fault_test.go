package project_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/buildnet/buildnet/node/project"
)

// one wraps the body of a single package.
func one(body string) string {
	return "version: 1\npackages:\n  - name: a\n" + body
}

func TestEveryFaultSaysWhereAndWhatToDo(t *testing.T) {
	for name, tc := range map[string]struct {
		config string
		files  []string
		want   []string
	}{
		"Empty": {" \n", nil, []string{`config.yaml: the configuration is empty; begin with "version: 1" and a list of packages`}},
		"NotAMapping": {"- a\n", nil, []string{
			"config.yaml:1: this is a list; write a mapping of keys to values"}},
		"Syntax": {"version: 1\npackages: [\n", nil, []string{
			"config.yaml:2: not YAML that can be used: sequence end token ']' not found; correct the YAML there"}},
		"TwoDocuments": {"version: 1\n---\nversion: 1\n", nil, []string{
			"config.yaml:3: not YAML that can be used: there is a second document; correct the YAML there"}},
		"UnknownAnchor": {"version: 1\npackages: *x\n", nil, []string{
			"config.yaml:2: not YAML that can be used: no anchor &x before this; correct the YAML there"}},
		"Tag": {"version: !!int 1\n", nil, []string{
			"config.yaml:1: not YAML that can be used: tag !!int: tags mean nothing here; correct the YAML there"}},
		"NothingSaid": {"env: {}\n", nil, []string{
			`config.yaml:1: packages are missing; add a list of packages`,
			`config.yaml:1: the version is missing; add "version: 1"`}},
		"Version": {"version: 2\npackages: [{name: a, build_cmd: x}]\n", nil, []string{
			`config.yaml:1: version: version 2 is not known; write "version: 1", or install a newer BuildNet`}},
		"VersionIsAString": {"version: \"1\"\npackages: [{name: a, build_cmd: x}]\n", nil, []string{
			"config.yaml:1: version: this is a string; write the number 1"}},
		"NoPackages": {"version: 1\npackages: []\n", nil, []string{"config.yaml:2: packages: there are no packages; add a package"}},
		"UnknownKeys": {one("    build_cmd: x\n    output_dirs: y\n    zzz: 1\n"), nil, []string{
			`config.yaml:5: packages[0].output_dirs: unknown key "output_dirs"; did you mean output_dir, outputs?`,
			`config.yaml:6: packages[0].zzz: unknown key "zzz"; remove it`}},
		"DuplicateKey": {one("    build_cmd: x\n    build_cmd: y\n"), nil, []string{
			"config.yaml:5: packages[0].build_cmd: the key stands here twice, first on line 4; keep one of them"}},
		"NoValue": {one("    build_cmd: x\n    sources:\n"), nil, []string{
			"config.yaml:5: packages[0].sources: the key has no value; give it one, or remove the key"}},
		"WrongTypes": {one("    build_cmd: {a: b}\n    sources: src\n    path: 7\n    network: maybe\n    hooks: x\n    env: [A]\n    dependencies: b\n"), nil, []string{
			"config.yaml:4: packages[0].build_cmd: this is a mapping; write a string for the shell, or a list of strings",
			`config.yaml:6: packages[0].path: this is a number; write a string: "7"`,
			"config.yaml:7: packages[0].network: this is a string; write true or false",
			"config.yaml:8: packages[0].hooks: this is a string; write a mapping of keys to values",
			"config.yaml:9: packages[0].env: this is a list; write a mapping of variables to values",
			"config.yaml:10: packages[0].dependencies: this is a string; write a list of strings"}},
		"NoName":  {"version: 1\npackages:\n  - build_cmd: x\n", nil, []string{"config.yaml:3: packages[0]: the package has no name; add name"}},
		"BadName": {"version: 1\npackages:\n  - name: \"a:b\"\n    build_cmd: x\n", nil, []string{`config.yaml:3: packages[0].name: "a:b" cannot be a package's name; use letters, digits and @ _ . / + -, beginning with a letter or digit`}},
		"TwoOfOneName": {"version: 1\npackages:\n  - {name: a, build_cmd: x}\n  - {name: a, build_cmd: y}\n", nil, []string{
			`config.yaml:4: packages[1].name: two packages are called "a", the first on line 3; rename one of them`}},
		"NoCommand": {one("    path: .\n"), nil, []string{
			`config.yaml:3: packages[0]: package "a" has neither build_cmd nor steps; add build_cmd, or steps`}},
		"BothCommands": {one("    build_cmd: x\n    steps: [{run: y}]\n"), nil, []string{
			`config.yaml:3: packages[0]: package "a" has both build_cmd and steps; keep one: build_cmd for one action, steps for several`}},
		"BothOutputs": {one("    build_cmd: x\n    output_dir: d\n    outputs: [f]\n"), nil, []string{
			`config.yaml:5: packages[0].output_dir: package "a" has both output_dir and outputs; keep one of them`}},
		"NothingLeftOfTheCommand": {one("    build_cmd: ['{outputs}']\n"), nil, []string{
			"config.yaml:4: packages[0].build_cmd: the command of a is empty once its placeholders are filled in; begin it with a program"}},
		"StepWithoutRun": {one("    steps:\n      - outputs: [x]\n"), nil, []string{"config.yaml:5: packages[0].steps[0]: the step has no command; add run"}},
		"EmptyCommands": {one("    steps:\n      - run: []\n      - run: [\"\"]\n      - run: \" \"\n"), nil, []string{
			"config.yaml:5: packages[0].steps[0].run: the command is empty; name a program",
			"config.yaml:6: packages[0].steps[1].run: the command is empty; name a program",
			"config.yaml:7: packages[0].steps[2].run: the command is empty; name a program"}},
		"UnknownDependency": {"version: 1\npackages:\n  - {name: api, build_cmd: x, dependencies: [croe, core]}\n  - {name: core, build_cmd: x}\n", nil, []string{
			`config.yaml:3: packages[0].dependencies[0]: there is no package "croe"; did you mean core?`}},
		"DependencyTwice": {"version: 1\npackages:\n  - {name: a, build_cmd: x, dependencies: [b, b]}\n  - {name: b, build_cmd: x}\n", nil, []string{
			`config.yaml:3: packages[0].dependencies[1]: "b" stands here twice; remove one of them`}},
		"PackageCycle": {"version: 1\npackages:\n  - {name: a, build_cmd: x, dependencies: [b]}\n  - {name: b, build_cmd: x, dependencies: [c]}\n  - {name: c, build_cmd: x, dependencies: [a]}\n", nil, []string{
			"config.yaml:5: packages[2].dependencies[0]: packages depend on each other: a -> b -> c -> a; remove one of these dependencies"}},
		"PackageNeedsItself": {"version: 1\npackages:\n  - {name: a, build_cmd: x, dependencies: [a]}\n", nil, []string{
			"config.yaml:3: packages[0].dependencies[0]: packages depend on each other: a -> a; remove one of these dependencies"}},
		"StepCycle": {one("    steps:\n      - {run: x, inputs: [p], outputs: [q]}\n      - {run: x, inputs: [q], outputs: [r]}\n      - {run: x, inputs: [r], outputs: [p]}\n"), nil, []string{
			"config.yaml:5: packages[0].steps[0]: steps depend on each other: a:q -> a:p -> a:r -> a:q; exclude the outputs from the inputs with !, or remove one of the inputs"}},
		"StepReadsWhatItMakes": {one("    steps:\n      - {run: x, inputs: [p], outputs: [p]}\n"), []string{"p"}, []string{
			"config.yaml:5: packages[0].steps[0].inputs[0]: steps depend on each other: a:p -> a:p, which reads the p that it makes; remove it from the inputs, or from the outputs"}},
		"TwoStepsWithOneOutput": {one("    steps:\n      - {run: x, outputs: [p]}\n      - {run: y, outputs: [q, p]}\n"), nil, []string{
			"config.yaml:6: packages[0].steps[1]: steps a:p, line 5, and a:q both make p; let one of them make it"}},
		"OneOutputTwice": {one("    steps:\n      - {run: x, outputs: [p, ./p]}\n"), nil, []string{
			"config.yaml:5: packages[0].steps[0]: the step names output p twice; name it once"}},
		"OutputWithinOutput": {one("    steps:\n      - {run: x, outputs: [d]}\n      - {run: y, outputs: [d/e/f]}\n"), nil, []string{
			"config.yaml:6: packages[0].steps[1]: output d/e/f of a:d/e/f lies within output d of a:d, line 5; name one of them only"}},
		"OutputContainsPackage": {"version: 1\npackages:\n  - {name: a, build_cmd: x, output_dir: lib}\n  - {name: b, path: lib/b, build_cmd: x}\n", nil, []string{
			`config.yaml:3: packages[0].build_cmd: output lib contains package "b"; make something else`}},
		"OutputsOutside": {one("    steps:\n      - {run: x, outputs: [/etc/p]}\n      - {run: y, outputs: [../p]}\n      - {run: y, outputs: [.]}\n      - {run: y, outputs: [.buildnet/p]}\n      - {run: y, outputs: ['*.o']}\n"), nil, []string{
			`config.yaml:5: packages[0].steps[0].outputs[0]: output "/etc/p" is an absolute path; write a path below the package's`,
			`config.yaml:6: packages[0].steps[1].outputs[0]: output "../p" leads out of the tree; write a path below the package's`,
			`config.yaml:7: packages[0].steps[2].outputs[0]: output "." is the package's own directory; write a path below the package's`,
			`config.yaml:8: packages[0].steps[3].outputs[0]: output ".buildnet/p" is in a directory that belongs to git or to BuildNet; write a path below the package's`,
			`config.yaml:9: packages[0].steps[4].outputs[0]: output "*.o" is a glob: outputs are named one by one, or as a directory; write a path below the package's`}},
		"OutputDirOutside": {one("    build_cmd: x\n    output_dir: ../dist\n"), nil, []string{
			`config.yaml:5: packages[0].output_dir: "../dist" leads out of the tree; write a path below the package's path`}},
		"OutputThroughLink": {one("    build_cmd: x\n    outputs: [out/p]\n    sources: []\n"), []string{"out -> /tmp/elsewhere"}, []string{
			"config.yaml:4: packages[0].build_cmd: output out/p would go through the symbolic link out, to /tmp/elsewhere; make it elsewhere"}},
		"OutputBelowFile": {one("    build_cmd: x\n    outputs: [f/p]\n"), []string{"f"}, []string{
			"config.yaml:4: packages[0].build_cmd: output f/p cannot lie below f, which is a file; make it elsewhere"}},
		"PathOutside": {one("    path: ../x\n    build_cmd: x\n"), nil, []string{
			`config.yaml:4: packages[0].path: "../x" leads out of the tree; write a path below the project's root`}},
		"PathIsAFile": {one("    path: x/y\n    build_cmd: x\n"), []string{"x"}, []string{
			"config.yaml:3: packages[0].path: x is a file; name a directory"}},
		"PathIsALink": {one("    path: x/y\n    build_cmd: x\n"), []string{"x -> z"}, []string{
			"config.yaml:3: packages[0].path: x is a symbolic link; name the directory that it points to"}},
		"MissingSource": {one("    path: p\n    build_cmd: x\n    sources: [src/mian.c]\n"), []string{"p/src/main.c"}, []string{
			"config.yaml:6: packages[0].sources[0]: there is no p/src/mian.c; did you mean p/src/main.c?"}},
		"SourceIsADirectory": {one("    build_cmd: x\n    sources: [src]\n"), []string{"src/main.c"}, []string{
			"config.yaml:5: packages[0].sources[0]: there is no src; it is a directory: add /** for the files in it"}},
		"SourceThroughLink": {one("    build_cmd: x\n    sources: [inc/a.h]\n"), []string{"inc -> include", "include/a.h"}, []string{
			"config.yaml:5: packages[0].sources[0]: there is no inc/a.h; inc is a symbolic link: name what it points to, include"}},
		"GlobMatchesNothing": {one("    build_cmd: x\n    sources: ['src/**/*.ts', '*.c']\n"), []string{"main.go"}, []string{
			"config.yaml:5: packages[0].sources[0]: the glob matches nothing: /src/**/*.ts; there are no files in src; correct the path, or remove the glob",
			"config.yaml:5: packages[0].sources[1]: the glob matches nothing: /*.c; correct it, remove it, or add the files (outputs of other steps, and what ! excludes, do not count as files)"}},
		"ForeachMatchesNothing": {one("    steps:\n      - {foreach: '*.c', run: x, outputs: ['{stem}.o']}\n"), nil, []string{
			"config.yaml:5: packages[0].steps[0].foreach: the glob matches nothing: /*.c; correct it, remove it, or add the files (outputs of other steps, and what ! excludes, do not count as files)"}},
		"OnlyReservedMatches": {one("    build_cmd: x\n    sources: [.git/config]\n"), []string{".git/config"}, []string{
			"config.yaml:5: packages[0].sources[0]: there is no .git/config; globs never match what belongs to git or to BuildNet"}},
		"OnlyExcludes": {one("    build_cmd: x\n    sources: ['!*.md']\n"), nil, []string{
			`config.yaml:5: packages[0].sources: all of these globs exclude; add what it is to match, such as "**"`}},
		"BadGlobs": {one("    build_cmd: x\n    sources: ['[a', '../b', 'c/', 'd//e', '', '/']\n"), nil, []string{
			"config.yaml:5: packages[0].sources[0]: the glob cannot be read; close its brackets and braces",
			"config.yaml:5: packages[0].sources[1]: the glob leads upwards; begin it with / to go from the project's root",
			"config.yaml:5: packages[0].sources[2]: the glob names a directory; write c/** for the files in it",
			"config.yaml:5: packages[0].sources[3]: the glob has an empty part; write it without // and without .",
			"config.yaml:5: packages[0].sources[4]: the string is empty; fill it in, or remove it",
			`config.yaml:5: packages[0].sources[5]: the glob is empty; name what it is to match, such as "**"`}},
		"ForeachMakesOneOutputTwice": {one("    steps:\n      - foreach: 'src/**/*.c'\n        run: x\n        outputs: ['{stem}.o']\n"), []string{"src/a/x.c", "src/b/x.c"}, []string{
			"config.yaml:5: packages[0].steps[0]: foreach makes x.o twice: of src/a/x.c and of src/b/x.c; put {dir} or {ext} into the output"}},
		"ForeachWithoutEnd": {one("    steps:\n      - {foreach: 'a/**', run: x, outputs: ['b/{stem}{ext}.x']}\n      - {foreach: 'b/**', run: x, outputs: ['a/{stem}{ext}.x']}\n"), []string{"a/1"}, []string{
			"config.yaml: the steps never end: foreach matches what foreach makes, 20 times over; exclude with ! what foreach made from what it matches"}},
		"BadPlaceholders": {one("    steps:\n      - {run: 'cc {inn}', outputs: ['{IN}']}\n      - {run: [cc, '{in}']}\n      - {run: [cc, '{in:x}']}\n      - {run: [cc, '{outputs:']}\n      - {run: [cc, '{outputs:}']}\n      - {run: x, inputs: ['{outputs}']}\n"), nil, []string{
			"config.yaml:5: packages[0].steps[0].outputs[0]: unknown placeholder {IN}; did you mean in?",
			"config.yaml:5: packages[0].steps[0].run: unknown placeholder {inn}; did you mean in?",
			"config.yaml:6: packages[0].steps[1].run: {in} stands for the file that foreach matched, and there is no foreach; add foreach, or name the file",
			"config.yaml:7: packages[0].steps[2].run[1]: {in} takes no argument; write {in}",
			"config.yaml:8: packages[0].steps[3].run[1]: {outputs: is not closed; add the }",
			`config.yaml:9: packages[0].steps[4].run[1]: the glob is empty; name what it is to match, such as "**"`,
			"config.yaml:10: packages[0].steps[5].inputs[0]: {outputs} means nothing here; remove it, or name the files"}},
		"UnknownPlaceholder": {one("    build_cmd: \"awk '{print}'\"\n"), nil, []string{
			`config.yaml:4: packages[0].build_cmd: unknown placeholder {print}; write \{print} if the braces are meant`}},
		"OutputsOfNobody": {one("    steps:\n      - {run: [ar, '{outputs:obj/*.o}'], outputs: [x]}\n"), nil, []string{
			"config.yaml:5: packages[0].steps[0].run: {outputs:obj/*.o} matches nothing; name outputs of other steps of the package, or with / of a package that it depends on"}},
		"OutputsWithinADirectory": {one("    steps:\n      - {run: x, outputs: [obj]}\n      - {run: [ar, '{outputs:obj/*.o}'], outputs: [x]}\n"), nil, []string{
			"config.yaml:6: packages[0].steps[1].run: {outputs:obj/*.o} matches nothing; name the directory itself, obj"}},
		"OutputOfAStranger": {"version: 1\npackages:\n  - {name: core, path: core, build_cmd: x, outputs: [lib.a]}\n  - {name: api, path: api, build_cmd: x, sources: [/core/lib.a]}\n", []string{"core/lib.a"}, []string{
			`config.yaml:4: packages[1].sources[0]: core/lib.a is made by package "core", which package "api" does not depend on; add core to the dependencies of api`}},
		"PackageOutputThatNoStepMakes": {one("    steps: [{run: x, outputs: [p]}]\n    outputs: ['*.so']\n"), nil, []string{
			`config.yaml:5: packages[0].outputs[0]: no step of package "a" makes *.so; name an output of one of its steps`}},
		"LinkLeavesTheTree": {one("    build_cmd: x\n    sources: ['**']\n"), []string{"etc -> /etc/passwd", "sub/up -> ../../up", "in -> sub/../etc", "good -> sub"}, []string{
			"config.yaml:4: packages[0].build_cmd: input etc is a symbolic link that leaves the tree, to /etc/passwd; copy what it points to into the project, or exclude the link with !",
			"config.yaml:4: packages[0].build_cmd: input in is a symbolic link that leaves the tree, to sub/../etc; copy what it points to into the project, or exclude the link with !",
			"config.yaml:4: packages[0].build_cmd: input sub/up is a symbolic link that leaves the tree, to ../../up; copy what it points to into the project, or exclude the link with !"}},
		"OddName": {one("    build_cmd: x\n"), []string{"a\nb", `a\b`, "\xff"}, []string{
			`config.yaml:4: packages[0].build_cmd: the name of input "\xff" has a backslash, a newline or bytes that are no UTF-8; rename it, or exclude it with !`,
			`config.yaml:4: packages[0].build_cmd: the name of input "a\\b" has a backslash, a newline or bytes that are no UTF-8; rename it, or exclude it with !`,
			`config.yaml:4: packages[0].build_cmd: the name of input "a\nb" has a backslash, a newline or bytes that are no UTF-8; rename it, or exclude it with !`}},
		"BadSettings": {one("    build_cmd: x\n    timeout: 90\n    memory: lots\n    sandbox: some\n    tools: ['a,b']\n    platform: {os: Linux, cpu: x}\n    toolchains: [opt, /]\n    env: {A-B: c, D: [e]}\n    pass_env: [1A]\n"), nil, []string{
			"config.yaml:5: packages[0].timeout: this is a number; write a duration: 90s, 10m, 1h30m",
			`config.yaml:6: packages[0].memory: "lots" is no size; write 512MiB, 2GB, or a number of bytes`,
			`config.yaml:7: packages[0].sandbox: "some" is no sandbox; write full or none`,
			`config.yaml:8: packages[0].tools[0]: "a,b" cannot be a tool; name a program by its name alone, and its directory under toolchains`,
			`config.yaml:9: packages[0].platform.cpu: unknown key "cpu"; remove it`,
			`config.yaml:9: packages[0].platform.os: "Linux" names no platform; write it as Go does: linux, darwin, windows; amd64, arm64`,
			`config.yaml:10: packages[0].toolchains[0]: "opt" cannot be a toolchain's directory; write an absolute path without a colon, such as /opt/toolchain`,
			"config.yaml:10: packages[0].toolchains[1]: the whole file system cannot be a toolchain; name the directory that holds the toolchain",
			`config.yaml:11: packages[0].env.A-B: "A-B" cannot be an environment variable; use letters, digits and _`,
			`config.yaml:11: packages[0].env.D: this is a list; write a string ("" for an empty one)`,
			`config.yaml:12: packages[0].pass_env[0]: "1A" cannot be an environment variable; use letters, digits and _`}},
		"NegativeTimeout": {one("    build_cmd: x\n    timeout: -1s\n    memory: -5\n"), nil, []string{
			`config.yaml:5: packages[0].timeout: "-1s" is no duration; write a positive duration: 90s, 10m, 1h30m`,
			`config.yaml:6: packages[0].memory: "-5" is no size; write 512MiB, 2GB, or a number of bytes`}},
		"SetAndPassed": {one("    build_cmd: x\n    env: {A: b}\n    pass_env: [A]\n"), nil, []string{
			"config.yaml:3: packages[0].pass_env: A is in env as well; keep it in one of them"}},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := plan(t, tc.config, tc.files...)
			if p != nil || err == nil {
				t.Fatalf("it was planned: %v", p)
			}
			if diff := cmp.Diff(tc.want, faultsOf(t, err)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFaultsOfTextAndTreeComeTogether(t *testing.T) {
	_, err := plan(t, one("    build_cmd: x\n    sorces: [x]\n    sources: [missing.c]\n"))
	got := strings.Join(faultsOf(t, err), "\n")
	for _, want := range []string{`unknown key "sorces"; did you mean sources?`, "there is no missing.c"} {
		if !strings.Contains(got, want) {
			t.Errorf("faults lack %q:\n%s", want, got)
		}
	}
}

func TestBrokenStepsDoNotMakeOthersLookWrong(t *testing.T) {
	_, err := plan(t, one("    steps:\n      - {run: 'x {oops}', outputs: [obj/a.o]}\n      - {run: [ar, '{outputs:obj/*.o}'], inputs: [obj/a.o], outputs: [x.a]}\n"))
	if got := faultsOf(t, err); len(got) != 1 {
		t.Errorf("faults = %v, want one", got)
	}
}

func TestFaultsOfJSONHaveLines(t *testing.T) {
	for name, tc := range map[string]struct{ src, want string }{
		"Syntax":    {"{\n\"version\": 1,\n]\n", "config.json:3: not JSON: "},
		"CutOff":    {"{\n\"version\": 1,\n", "config.json:2: not JSON: the file ends in the middle of a value; correct the JSON there"},
		"Trailing":  {"{}\n{}\n", "config.json:2: not JSON: there is more after the value; correct the JSON there"},
		"Unknown":   {"{\"version\": 1,\n\"packages\": [\n{\"name\": \"a\", \"build_cmd\": \"x\",\n\"pth\": \"y\"}]}", `config.json:4: packages[0].pth: unknown key "pth"; did you mean path?`},
		"Duplicate": {"{\"version\": 1,\n\"version\": 1, \"packages\": [{\"name\": \"a\", \"build_cmd\": \"x\"}]}", "config.json:2: version: the key stands here twice, first on line 1; keep one of them"},
		"WrongType": {"{\"version\": 1,\n\"packages\":\n{}}", "config.json:3: packages: this is a mapping; write a list of packages"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := project.Parse("config.json", []byte(tc.src))
			if got := faultsOf(t, err); !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, tc.want) }) {
				t.Errorf("faults = %q, want %q", got, tc.want)
			}
		})
	}
}

func TestOtherFormatsAreRefused(t *testing.T) {
	_, err := project.Parse("config.toml", []byte("version = 1"))
	if got, want := faultsOf(t, err)[0], "config.toml: the name ends with neither .yaml nor .json; call it config.yaml or config.json"; got != want {
		t.Errorf("fault = %q, want %q", got, want)
	}
}

func TestPlansThatWouldNotFitIntoMemoryAreRefused(t *testing.T) {
	files := filesOf("1.c", "2.c", "3.c", "4.c", "5.c", "1.h", "2.h", "3.h", "4.h", "5.h")
	for name, tc := range map[string]struct {
		step                 string
		steps, deps, sources int
		want                 string
	}{
		"Steps":   {"{foreach: '*.c', run: x}", 4, 100, 100, "there are more than 4 steps; narrow the globs of foreach"},
		"Edges":   {"{foreach: '*.c', run: x, inputs: ['*'], outputs: ['{stem}.o']}", 5, 7, 100, "read outputs of other steps more than 7 times; narrow its inputs"},
		"Sources": {"{foreach: '*.c', run: x, inputs: ['*.h'], outputs: ['{stem}.o']}", 5, 100, 20, "read files more than 20 times; narrow its inputs"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := project.Parse("config.yaml", []byte(one("    steps: ["+tc.step+"]\n")))
			if err != nil {
				t.Fatal(err)
			}
			c.Limit(tc.steps, tc.deps, tc.sources)
			_, err = c.Plan(files)
			if got := strings.Join(faultsOf(t, err), "\n"); !strings.Contains(got, tc.want) {
				t.Errorf("faults lack %q: %s", tc.want, got)
			}
		})
	}
}
