package ninja

import "testing"

// TestClean covers CleanTest and CleanDeadTest. That removing goes wrong is in
// the last case.
func TestClean(t *testing.T) {
	const graph = `
		| build in1: make src1
		| build out1: make in1
		| build in2: make src2
		| build out2: make in2
		write in1
		write out1
		write in2
		write out2
	`
	const byRules = `
		| rule cat_e
		|   command = make
		| build in1: cat_e src1
		| build out1: make in1
		| build in2: cat_e src2
		| build out2: make in2
		write in1
		write out1
		write in2
		write out2
	`
	const extras = `
		| rule cc
		|   command = make
		|   depfile = $out.d
		|   rspfile = $out.rsp
		|   rspfile_content = $in
		| build out1: cc in1
		| build out$ 2: cc in2
		write out1
		write out1.d
		write out1.rsp
	`
	scripts{
		{"All", graph + "ninja -t clean\nran\nsays Cleaning... 4 files.\nlacks in1 in2 out1 out2\nninja -t clean\nran\nsays Cleaning... 0 files."},
		{"AllDry", graph + "ninja -n -t clean\nran\nsays Cleaning...\nsays Remove in1\nsays 4 files.\nhas in1\nhas out2"},
		{"AllVerbose", graph + "ninja -v -t clean\nran\nsays Remove out2"},
		{"AllQuiet", graph + "ninja --quiet -t clean\nran\nlacks in1 out1 in2 out2"},
		{"Target", graph + "ninja -t clean out1\nran\nsays Cleaning... 2 files.\nlacks in1 out1\nhas in2\nhas out2"},
		{"TargetDry", graph + "ninja -n -t clean out1\nran\nsays Target out1\nsays Remove out1\nsays Remove in1\nsays 2 files.\nhas in1\nhas out1"},
		{"Targets", graph + "ninja -t clean ./out1 out2\nran\nsays Cleaning... 4 files."},
		{"UnknownTarget", graph + "ninja -t clean nothing\nran\nexit 1\ncomplains ninja: error: unknown target 'nothing'\nsays Cleaning... 0 files."},
		{"Rule", byRules + "ninja -t clean -r cat_e\nran\nsays Cleaning... 2 files.\nlacks in1 in2\nhas out1\nhas out2"},
		{"RuleDry", byRules + "ninja -n -t clean -r cat_e\nran\nsays Rule cat_e\nsays Remove in1\nsays 2 files.\nhas in1\nhas in2"},
		{"UnknownRule", byRules + "ninja -t clean -r dog\nran\nexit 1\ncomplains ninja: error: unknown rule 'dog'"},
		{"NoRule", byRules + "ninja -t clean -r\nran\nexit 1\ncomplains ninja: error: expected a rule to clean"},
		{"Generator", "| rule regen\n|   command = make\n|   generator = 1\n| build out1: make in1\n| build out2: regen in2\nwrite out1\nwrite out2\n" +
			"ninja -t clean\nran\nsays Cleaning... 1 files.\nlacks out1\nhas out2\nninja -t clean -g\nran\nsays Cleaning... 1 files.\nlacks out2"},
		{"DepfileAndRspfile", extras + "ninja -t clean\nran\nsays Cleaning... 3 files.\nlacks out1 out1.d out1.rsp"},
		{"DepfileAndRspfileOfATarget", extras + "ninja -t clean out1\nran\nsays Cleaning... 3 files.\nlacks out1 out1.d out1.rsp"},
		{"DepfileAndRspfileOfARule", extras + "ninja -t clean -r cc\nran\nsays Cleaning... 3 files.\nlacks out1 out1.d out1.rsp"},
		{"RspfileOfATarget", "| rule cat_rsp\n|   command = make\n|   rspfile = $rspfile\n|   rspfile_content = $in\n| build in1: make src1\n| build out1: make in1\n| build in2: cat_rsp src2\n|   rspfile = in2.rsp\n| build out2: cat_rsp in2\n|   rspfile = out2.rsp\n" +
			"write in1\nwrite out1\nwrite in2.rsp\nwrite out2.rsp\nwrite in2\nwrite out2\nninja -t clean out1\nran\nsays Cleaning... 2 files.\nninja -t clean in2\nran\nsays Cleaning... 2 files.\nninja -t clean -r cat_rsp\nran\nsays Cleaning... 2 files.\nlacks in1 out1 in2 out2 in2.rsp out2.rsp"},
		{"Dyndep", "| build out: make in || dd\n|   dyndep = dd\nwrite in\nwrite dd ninja_dyndep_version = 1;build out | out.imp: dyndep;\nwrite out\nwrite out.imp\nninja -t clean\nran\nsays Cleaning... 2 files.\nlacks out out.imp"},
		{"DyndepMissing", "| build out: make in || dd\n|   dyndep = dd\nwrite in\nwrite out\nwrite out.imp\nninja -t clean\nran\nsays Cleaning... 1 files.\nlacks out\nhas out.imp"},
		{"Phony", "| build phony: phony t1 t2\n| build t1: make\n| build t2: make\nwrite phony\nwrite t1\nwrite t2\nninja -t clean\nran\nsays Cleaning... 2 files.\nhas phony\nwrite t1\nwrite t2\nninja -t clean phony\nran\nsays Cleaning... 2 files.\nhas phony"},
		{"Dead", "| build out1: make in\n| build out2: make in\nwrite in\nninja\nran out1 out2\n| build out2: make in\nninja -t cleandead\nran\nsays Cleaning... 1 files.\nlacks out1\nhas in\nhas out2\nninja -t cleandead\nran\nsays Cleaning... 0 files."},
		{"DeadThatIsAnInput", "| build out1: make in\n| build out2: make in\nwrite in\nninja\nran out1 out2\n| build out2: make out1\nninja -t cleandead\nran\nsays Cleaning... 0 files.\nhas out1\nhas out2"},
		{"Failure", "| build dir: make src1\nwrite dir\nbad remove dir\nninja -t clean\nran\nexit 1\ncomplains ninja: error: remove(dir): Bad"},
		{"Usage", "ninja -t clean -h\nran\nexit 1\nsays usage: ninja -t clean [options] [targets]"},
	}.run(t)
}

// TestTools covers what the other tools print; what they list is tested where
// the lists are made.
func TestTools(t *testing.T) {
	const graph = `
		| rule cc
		|   command = cc $in
		|   description = CC $out
		| build a.o: cc a.c | a.h || gen
		| build gen: make
		| build prog: make a.o
		write a.c
		write a.h
	`
	scripts{
		{"List", "ninja -t list\nsays ninja subtools:\nsays clean  clean built files\nsays restat  restats all outputs in the build log"},
		{"Unknown", "ninja -t claen\nexit 1\ncomplains ninja: fatal: unknown tool 'claen', did you mean 'clean'?"},
		{"Commands", graph + "ninja -t commands\nran\nsays cc a.c\nsays make"},
		{"CommandsOfOne", graph + "ninja -t commands -s a.o\nran\nsays cc a.c"},
		{"CommandsOfNone", graph + "ninja -t commands x\nran\nexit 1\ncomplains ninja: error: unknown target 'x', did you mean 'a.o'?"},
		{"Inputs", graph + "ninja -t inputs prog\nran\nsays a.c\nsays a.h\nsays a.o\nsays gen"},
		{"Targets", graph + "ninja -t targets\nran\nsays prog: make"},
		{"TargetsDepth", graph + "ninja -t targets depth 2\nran\nsays a.o: cc"},
		{"TargetsAll", graph + "ninja -t targets all\nran\nsays gen: make"},
		{"TargetsOfARule", graph + "ninja -t targets rule cc\nran\nsays a.o"},
		{"Sources", graph + "ninja -t targets rule\nran\nsays a.c\nsays a.h"},
		{"TargetsMode", graph + "ninja -t targets alll\nran\nexit 1\ncomplains ninja: error: unknown target tool mode 'alll', did you mean 'all'?"},
		{"Rules", graph + "ninja -t rules\nran\nsays cc\nsays phony"},
		{"RulesDescribed", graph + "ninja -t rules -d\nran\nsays cc: CC ${out}"},
		{"Query", graph + "ninja -t query a.o\nran\nsays a.o:\nsays input: cc\nsays | a.h\nsays || gen\nsays prog"},
		{"QueryNothing", graph + "ninja -t query\nran\nexit 1\ncomplains ninja: error: expected a target to query"},
		{"Graph", graph + "ninja -t graph\nran\nsays digraph ninja {"},
		{"Compdb", graph + "ninja -t compdb cc\nran\nsays \"command\": \"cc a.c\",\nsays \"directory\": \"/box\","},
		{"Deps", graph + "ninja -t deps a.o\nran\nsays a.o: deps not found"},
		{"MissingDeps", "| rule cc\n|   command = make && write $out.d $out: gen;\n|   deps = gcc\n|   depfile = $out.d\n| build gen: make\n| build out: cc\nninja\nran gen out\n" +
			"ninja -t missingdeps\nran\nexit 3\nsays Missing dep: out uses gen (generated by make)\nsays Processed 2 nodes."},
		{"NoMissingDeps", graph + "ninja -t missingdeps\nran\nsays No missing dependencies on generated files found."},
		{"Recompact", "| build out: make\nninja\nran out\nrm out\n| build other: make\nninja -t recompact\nran\nhas .ninja_log # ninja log v5;"},
		{"RecompactNothing", graph + "ninja -t recompact\nran\nlacks .ninja_log .ninja_deps"},
		{"Restat", "| build out: make in\nwrite in\nninja\nran out\ntouch in\ntouch out\nninja -t restat\nran\nninja\nran"},
		{"RecompactInADryRun", "write .ninja_log # ninja log v5;1\t2\t3\tgone\tabc;\n| build other: make\nninja -n -t recompact\nran\nhas .ninja_log # ninja log v5;1\t2\t3\tgone\tabc;"},
		{"RestatInADryRun", "| build out: make in\nwrite in\nninja\nran out\ntouch in\ntouch out\nninja -n -t restat\nran\nninja\nran out"},
		{"RestatOfAnother", "| build out: make in\nwrite in\nninja\nran out\ntouch in\ntouch out\nninja -t restat other\nran\nninja\nran out"},
		{"RestatNothing", "ninja -t restat\nran"},
		{"RestatUsage", "ninja -t restat -h\nran\nexit 1\nsays usage: ninja -t restat [outputs]"},
		{"Browse", graph + "ninja -t browse\nran\nexit 1\ncomplains ninja: fatal: browse tool not supported on this platform"},
	}.run(t)
}

// TestArguments covers what the program says of its arguments.
func TestArguments(t *testing.T) {
	scripts{
		{"Version", "ninja --version\nsays 1.11.1"},
		{"Help", "ninja -h\nexit 1\ncomplains usage: ninja [options] [targets...]"},
		{"UnknownFlag", "ninja -z\nexit 1\ncomplains ninja: invalid option -- 'z'"},
		{"UnknownLongFlag", "ninja --zzz\nexit 1\ncomplains ninja: unrecognized option '--zzz'"},
		{"LongFlagCutShort", "ninja --vers\nsays 1.11.1"},
		{"AmbiguousFlag", "ninja --ver\nexit 1\ncomplains ninja: option '--ver' is ambiguous"},
		{"ValueMissing", "ninja -f\nexit 1\ncomplains ninja: option requires an argument -- 'f'"},
		{"Jobs", "ninja -j x\nexit 1\ncomplains ninja: fatal: invalid -j parameter"},
		{"KeepGoing", "ninja -kx\nexit 1\ncomplains ninja: fatal: -k parameter not numeric; did you mean -k 0?"},
		{"Load", "ninja -l x\nexit 1\ncomplains ninja: fatal: -l parameter not numeric: did you mean -l 0.0?"},
		{"DebugModes", "ninja -d list\nexit 1\nsays debugging modes:"},
		{"DebugMode", "ninja -d explian\nexit 1\ncomplains ninja: error: unknown debug setting 'explian', did you mean 'explain'?"},
		{"Warnings", "ninja -w list\nexit 1\nsays warning flags:"},
		{"Warning", "ninja -w phonycycel=err\nexit 1\ncomplains ninja: error: unknown warning flag 'phonycycel=err', did you mean 'phonycycle=err'?"},
		{"FlagsBehindTargets", "| build a: make\nninja a -n\nran\nsays [1/1] make"},
		{"FlagsTogether", "| build a: make\nninja -nv a\nran\nsays [1/1] make"},
		{"TargetsBehindDashes", "| build -n: make\nninja -- -n\nran -n"},
		{"DuplicateBuild", "| build a: make\n| build a: make\nninja -w dupbuild=warn\nran a\ncomplains ninja: warning: multiple rules generate a. builds involving this target will not be correct; continuing anyway"},
		{"Directory", "| build a: make\nninja -C sub\nran a\nsays ninja: Entering directory `sub'"},
	}.run(t)
}
