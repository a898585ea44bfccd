package ninja

import (
	"testing"

	"github.com/buildnet/buildnet/node/project/ninja"
)

// scripts is a table of tests by name.
type scripts []struct{ name, script string }

func (s scripts) run(t *testing.T) {
	t.Helper()
	for _, tc := range s {
		t.Run(tc.name, func(t *testing.T) { play(t, tc.script) })
	}
}

// TestBuild covers BuildTest's plain builds, missing files, failures and phony
// edges.
func TestBuild(t *testing.T) {
	const chain = `
		| build cat1: make in1
		| build cat2: make in1 in2
		| build cat12: make cat1 cat2
		write in1
		write in2
	`
	scripts{
		{"NoManifest", "ninja -f other.ninja\nran\nexit 1\ncomplains ninja: error: loading 'other.ninja': File does not exist"},
		{"NothingToDo", "ninja\nran\nsays ninja: no work to do."},
		{"OneStep", chain + "ninja cat1\nran cat1\nsays [1/1] make\nninja cat1\nran\nsays ninja: no work to do."},
		{"TwoSteps", chain + "ninja cat12\nran cat1 cat2 cat12\ntouch in2\nninja cat12\nran cat2 cat12\nninja\nran"},
		{"TwoOutputs", "| build out1 out2: touch in\nwrite in\nninja out1\nran out1\nninja out2\nran\nrm out2\nninja out1\nran out1"},
		{"ImplicitOutput", "| build out | out.imp: make in\nwrite in\nninja out.imp\nran out\nninja out\nran\nrm out.imp\nninja out\nran out"},
		{"ManyToMany", "| build out: make in1 | in2\nwrite in1\nwrite in2\nninja\nran out\ntouch in2\nninja\nran out"},
		{"Chain", `
			| build c2: make c1
			| build c3: make c2
			| build c4: make c3
			| build c5: make c4
			write c1
			ninja c5
			ran c2 c3 c4 c5
			ninja c5
			ran
			touch c3
			ninja c5
			ran c4 c5`},
		{"MissingInput", "| build out: make in\nninja\nran\nexit 1\ncomplains ninja: error: 'in', needed by 'out', missing and no known rule to make it"},
		{"UnknownTarget", "| build out: make\nninja meow\nran\nexit 1\ncomplains ninja: error: unknown target 'meow'"},
		{"UnknownTargetLikeAnother", "| build output: make\nninja outptu\nran\nexit 1\ncomplains ninja: error: unknown target 'outptu', did you mean 'output'?"},
		{"TargetClean", "| build output: make\nninja clean\nran\nexit 1\ncomplains ninja: error: unknown target 'clean', did you mean 'ninja -t clean'?"},
		{"MissingSourceAsTarget", "| build out: make in\nninja in\nran\nexit 1\ncomplains ninja: error: 'in' missing and no known rule to make it"},
		{"OutputOf", "| build out: make in\n| build out2: make in2\nwrite in\nwrite in2\nninja in^\nran out\nninja out^\nran\nexit 1\ncomplains ninja: error: 'out' has no out edge"},
		{"Directories", "| build subdir/dir2/file: make in\nwrite in\nninja\nran subdir/dir2/file\ndirectory subdir\ndirectory subdir/dir2"},
		{"ReadyTwice", "| build c.o: touch in\n| build a: touch b.o c.o\n| build b.o: touch || c.o\nwrite in\nninja a\nran c.o b.o a\nninja a\nran"},
		{"OrderOnly", `
			| build out: make in || order
			| build order: make order.in
			write in
			write order.in
			ninja out
			ran order out
			touch order.in
			ninja out
			ran order
			rm order
			ninja out
			ran order
			touch in
			ninja out
			ran out`},
		{"OrderOnlySource", "| build out: make in || order\nwrite in\nwrite order\nninja\nran out\ntouch order\nninja\nran"},
		{"Phony", "| build out: make bar.cc\n| build all: phony out\nwrite bar.cc\nninja all\nran out\nninja all\nran\nsays ninja: no work to do."},
		{"PhonyOfNothing", `
			| build nonexistent: phony
			| build out1: touch || nonexistent
			| build out2: touch nonexistent
			ninja out1
			ran out1
			ninja out1
			ran
			ninja out2
			ran out2
			ninja out2
			ran out2`},
		{"PhonyOfItself", "| build a: phony a\nninja a\nran\nsays ninja: no work to do.\ncomplains ninja: warning: phony target 'a' names itself as an input; ignoring [-w phonycycle=warn]"},
		{"PhonyOfItselfIsAFault", "| build a: phony a\nninja -w phonycycle=err a\nran\nexit 1\ncomplains ninja: error: dependency cycle: a -> a [-w phonycycle=err]"},
		{"PhonyForFiles", `
			# A phony output that is no file stands for the newest of its inputs.
			| build notreal: phony blank
			| build phony1: phony notreal
			| build test1: touch phony1
			write blank
			ninja test1
			ran test1
			ninja test1
			ran
			touch blank
			ninja test1
			ran test1
			ninja test1
			ran`},
		{"PhonyForFilesThroughOthers", `
			| build notreal: phony blank
			| build phony4: phony notreal
			| build test4: touch phony4
			| build phony5: phony blank
			| build test5: touch || phony5
			| build phony6: phony test4
			| build test6: touch phony6
			write blank
			ninja test6 test5
			ran test4 test5 test6
			touch blank
			ninja test5
			ran
			ninja test6
			ran test4 test6
			ninja
			ran`},
		{"Fail", "| build out1: fail\nninja\nran out1\nexit 1\nsays FAILED: out1\nsays ninja: build stopped: subcommand failed."},
		{"FailOften", "| build out1: fail\n| build out2: fail\n| build out3: fail\n| build all: phony out1 out2 out3\nninja -k3\nran out1 out2 out3\nexit 1\nsays ninja: build stopped: subcommands failed."},
		{"FailOftenEnough", "| build out1: fail\n| build out2: fail\n| build out3: fail\n| build all: phony out1 out2 out3\nninja -k2\nran out1 out2\nexit 1\nsays ninja: build stopped: subcommands failed."},
		{"FailLessThanAllowed", "| build out1: fail\n| build out2: fail\n| build out3: fail\n| build final: make out1 out2 out3\nninja -k11\nran out1 out2 out3\nexit 1\n" +
			"says ninja: build stopped: cannot make progress due to previous errors."},
		{"FailInAPool", "| pool some\n|   depth = 1\n| rule pooled\n|   command = fail\n|   pool = some\n| build out1: pooled\n| build out2: pooled\n| build out3: pooled\n| build final: make out1 out2 out3\n" +
			"ninja -k11\nran out1 out2 out3\nexit 1\nsays ninja: build stopped: cannot make progress due to previous errors."},
		{"KeepGoing", "| build out1: fail\n| build out2: make\nninja -k0\nran out1 out2\nexit 1\nsays ninja: build stopped: cannot make progress due to previous errors."},
		{"Interrupted", "| rule interrupt\n|   command = interrupt\n| build out1: interrupt in1\nwrite in1\nninja\nran out1\nexit 2\nsays ninja: build stopped: interrupted by user."},
		{"StatFails", "| build out: make in\nwrite in\nbad in\nninja\nran\nexit 1\ncomplains ninja: error: stat(in): Bad"},
		{"Console", "| rule console\n|   command = make\n|   pool = console\n| build cons: console in.txt\nwrite in.txt\nninja\nran cons\nsays [0/1] make"},
		{"Defaults", "| build a: make\n| build b: make\n| default b\nninja\nran b\nninja a\nran a"},
		{"NoRoots", "| build a: make b\n| build b: make a\nninja\nran\nexit 1\ncomplains ninja: error: could not determine root nodes of build graph"},
		{"Cycle", "| build a: make b\n| build b: make a\nninja a\nran\nexit 1\ncomplains ninja: error: dependency cycle: a -> b -> a"},
		{"Validation", `
			| build out: make in |@ validate
			| build validate: make in2
			write in
			write in2
			ninja out
			ran out validate
			touch in
			ninja out
			ran out
			touch in2
			ninja out
			ran validate
			ninja out
			ran`},
		{"ValidationOfTheOutput", "| build out: make in |@ validate\n| build validate: make in2 | out\nwrite in\nwrite in2\nninja out\nran out validate\ntouch in\nninja out\nran out validate\ntouch in2\nninja out\nran validate"},
		{"ValidationsOfEachOther", "| build out: make in |@ out2\n| build out2: make in2 |@ out\nwrite in\nwrite in2\nninja out\nran out out2\ntouch in\nninja out\nran out\ntouch in2\nninja out\nran out2"},
		{"ValidationWithACycle", "| build out: make in |@ validate\n| build validate: make validate_in | out\n| build validate_in: make validate\nwrite in\nninja out\nran\nexit 1\n" +
			"complains ninja: error: dependency cycle: validate -> validate_in -> validate"},
	}.run(t)
}

// TestRecords covers BuildWithLogTest and BuildDryRun: command hashes, restat,
// generators, response files, failures that leave outputs.
func TestRecords(t *testing.T) {
	scripts{
		{"NotInTheLog", "| build out1: make in\nwrite in\nwrite out1\nninja\nran out1\nninja\nran"},
		{"GeneratedOutOfDate", "| rule touch2\n|   command = touch out.imp\n|   generator = 1\n| build out.imp: touch2 | in\nwrite out.imp\nwrite in\nninja\nran out.imp\nninja\nran"},
		{"GeneratedWithMoreOutOfDate", "| rule touch-implicit-dep-out\n|   command = touch inimp && touch out\n|   generator = 1\n| build out: touch-implicit-dep-out | inimp\n" +
			"write inimp\nwrite out\ntouch inimp\nninja\nran out\nninja\nran"},
		{"AfterFailure", `
			| rule run
			|   command = touch out1 && cp in out1 && need good
			| build out1: run in
			write in
			write good
			ninja
			ran out1
			rm good
			touch in
			ninja
			ran out1
			exit 1
			# The output is new, but its record is not.
			touch out1
			ninja
			ran out1
			exit 1
			write good
			ninja
			ran out1
			ninja
			ran`},
		{"WithoutInputs", "| build out1: touch\n| build out2: touch in\nwrite in\nninja\nran out1 out2\ntouch in\nninja\nran out2"},
		{"CommandChanged", "| build out: make in\nwrite in\nninja\nran out\n| build out: touch in\nninja\nran out\nninja\nran"},
		{"GeneratorCommandChanged", "| rule g\n|   command = make\n|   generator = 1\n| build out: g in\nwrite in\nninja\nran out\n| rule g\n|   command = true\n|   generator = 1\n| build out: g in\nninja\nran"},
		{"Restat", `
			| rule true2
			|   command = true
			|   restat = 1
			| rule cc
			|   command = cp in out1
			| build out1: cc in
			| build out2: true2 out1
			| build out3: make out2
			write out1
			write out2
			write out3
			write in
			# Without a record all has to run.
			ninja out3
			ran out1 out2 out3
			ninja out3
			ran
			touch in
			ninja out3
			ran out1 out2
			says [2/3] true
			ninja out3
			ran`},
		{"RestatOfNoFile", "| rule true2\n|   command = true\n|   restat = 1\n| build out1: true2 in\n| build out2: make out1\nwrite in\nwrite out2\nninja out2\nran out1 out2\nninja out2\nran out1"},
		{"RestatOneOutputDirty", "| rule true2\n|   command = true\n|   restat = 1\n| build out1: true2 in\n| build out2 out3: touch out1\n| build out4: touch out3\n" +
			"write in\nwrite out1\nwrite out2\nwrite out3\nwrite out4\nninja\nran out1 out2 out4\ntouch in\nrm out3\nninja out4\nran out1 out2 out4\nexit 0"},
		{"RestatOfMissingInput", "| rule true2\n|   command = true\n|   restat = 1\n|   depfile = restat.d\n|   deps = gcc\n| rule wr\n|   command = write restat.d out1: will.be.deleted; && make\n" +
			"|   depfile = restat.d\n|   restat = 1\n| build out1: wr in\nwrite in\nwrite will.be.deleted\nninja\nran out1\nninja\nran\nrm will.be.deleted\nninja\nran out1"},
		{"DepfileOfAGenerator", "| rule gen\n|   command = write out.d out: in2; && make\n|   depfile = out.d\n|   generator = 1\n| build out: gen in\nwrite in\nwrite in2\nninja\nran out\nninja\nran\ntouch in2\nninja\nran out"},
		{"DryRunShowsAll", "| rule cc\n|   command = make\n|   restat = 1\n| build out1: cc in\n| build out2: make out1\n| build out3: make out2\nwrite out1\nwrite out2\nwrite out3\nwrite in\n" +
			"ninja -n out3\nran\nsays [3/3] make\nlacks .ninja_log"},
		{"DryRunWritesNothing", "| rule r\n|   command = make\n|   rspfile = $out.rsp\n|   rspfile_content = x\n|   deps = gcc\n|   depfile = d\n| build sub/out: r\nwrite d sub/out: y;\nninja -n\nran\nlacks sub/out.rsp .ninja_log\nhas d sub/out: y;"},
		{"DryRunKeepsAnRspfile", "| rule r\n|   command = make\n|   rspfile = out.rsp\n|   rspfile_content = x\n| build out: r\nwrite out.rsp kept\nninja -n\nran\nhas out.rsp kept"},
		{"Rspfile", "| rule cat_rsp\n|   command = cp $rspfile $out\n|   rspfile = $rspfile\n|   rspfile_content = $long_command\n| build out: cat_rsp in\n|   rspfile = out.rsp\n|   long_command = Some very long command\n" +
			"write in\nninja\nran out\nhas out Some very long command\nlacks out.rsp"},
		{"RspfileIsKept", "| rule r\n|   command = make\n|   rspfile = out.rsp\n|   rspfile_content = text\n| build out: r\nninja -d keeprsp\nran out\nhas out.rsp text"},
		{"RspfileOfFailure", "| rule f\n|   command = fail\n|   rspfile = out.rsp\n|   rspfile_content = Another very long command\n| build out: f\nninja\nran out\nexit 1\nhas out.rsp Another very long command"},
		{"RspfileChanged", "| rule r\n|   command = cp $rspfile $out\n|   rspfile = out.rsp\n|   rspfile_content = Original\n| build out: r\nninja\nran out\nninja\nran\n" +
			"| rule r\n|   command = cp $rspfile $out\n|   rspfile = out.rsp\n|   rspfile_content = Other\n| build out: r\nninja\nran out"},
		{"Builddir", "| builddir = b\n| build out: make\nninja\nran out\ndirectory b\nlacks .ninja_log\nninja\nran"},
		{"LogTooOld", "| build out: make\nninja\nran out\nwrite .ninja_log # ninja log v3;\nninja\nran out\ncomplains ninja: warning: build log version invalid, perhaps due to being too old; starting over"},
		{"DepsLogTooOld", "| build out: make\nninja\nran out\nwrite .ninja_deps # ninjadeps;\nninja\nran\ncomplains ninja: warning: bad deps log signature or version; starting over\nlacks .ninja_deps"},
	}.run(t)
}

// TestManifestIsMade covers how the manifest itself is built first.
func TestManifestIsMade(t *testing.T) {
	const gen = "rule make;  command = make;rule gen;  command = cp build.in build.ninja;  generator = 1;build build.ninja: gen build.in;"
	scripts{
		{"OutOfDate", "write build.ninja " + gen + "\nwrite build.in " + gen + "build out: make;\nninja\nran build.ninja out\nninja\nran"},
		{"OutOfDateInADryRun", "write build.ninja " + gen + "\nwrite build.in x\nninja -n\nran\nsays [1/1] cp build.in build.ninja"},
		{"Fails", "write build.ninja rule fail;  command = fail;build build.ninja: fail in;\nwrite in\nninja\nran build.ninja\nexit 1\ncomplains ninja: error: rebuilding 'build.ninja': subcommand failed"},
		{"UnchangedByRestat", "write build.ninja rule keep;  command = true;  restat = 1;  generator = 1;build build.ninja: keep in;rule make;  command = make;build out: make;\nwrite in\nninja\nran build.ninja out\nninja\nran"},
		{"Never", "write build.ninja rule never;  command = true;  generator = 1;build build.ninja: never in;\nwrite in\nninja\nran *\nexit 1\ncomplains ninja: error: manifest 'build.ninja' still dirty after 100 tries, perhaps system time is not set"},
	}.run(t)
}

// TestLoad covers -l: above the bound one command runs at a time.
func TestLoad(t *testing.T) {
	for _, tc := range []struct {
		name    string
		load    float64
		running int
		want    bool
	}{
		{"Idle", 0.5, 1, true}, {"Busy", 2, 1, false}, {"BusyButNothingRuns", 2, 0, true},
	} {
		b := builder{opts: Options{MaxLoad: 1}, jobs: func() int { return 3 }, load: func() float64 { return tc.load }, running: map[*ninja.Edge]*started{}}
		for range tc.running {
			b.running[&ninja.Edge{}] = &started{}
		}
		if b.mayStart() != tc.want {
			t.Errorf("%s: may start: %v", tc.name, !tc.want)
		}
	}
}
