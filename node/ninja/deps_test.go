package ninja

import "testing"

// TestDeps covers BuildTest's depfiles, BuildWithDepsLogTest and
// BuildWithQueryDepsLogTest.
func TestDeps(t *testing.T) {
	const cc = "| rule cc\n|   command = make\n|   depfile = $out.d\n| build foo.o: cc foo.c\nwrite foo.c\nwrite bar.h\n"
	const logged = "| rule cc\n|   command = cp deps $out.d && make\n|   depfile = $out.d\n|   deps = gcc\n| build foo.o: cc foo.c\nwrite foo.c\nwrite bar.h\nwrite deps foo.o: bar.h;\n"
	const two = "| rule cp_multi\n|   command = make && write in.d %s\n|   deps = gcc\n|   depfile = in.d\n| build out1 out2: cp_multi in1 in2\nwrite in1\nwrite in2\nninja\nran out1\n" +
		"ninja -t deps out1\nran\nsays in1\nsays in2\nninja -t deps out2\nran\nsays in1\nsays in2\nlacks in.d"
	scripts{
		{"DepfileMissing", "| rule cc\n|   command = make\n|   depfile = $out.d\n| build fo$ o.o: cc foo.c\nwrite foo.c\nninja\nran *\nninja -d explain\nran *\ncomplains ninja explain: depfile 'fo o.o.d' is missing"},
		{"DepfileIsRead", cc + "write foo.o.d foo.o: bar.h;\nninja\nran foo.o\nninja\nran"},
		{"DepfileParse", cc + "write foo.o.d randomtext;\nninja\nran\nexit 1\ncomplains ninja: error: foo.o.d: expected ':' in depfile"},
		{"DepfileIsNewer", "| rule cc\n|   command = make && write $out.d foo.o: bar.h;\n|   depfile = $out.d\n| build foo.o: cc foo.c\nwrite foo.c\nwrite bar.h\n" +
			"ninja\nran foo.o\nninja\nran\ntouch bar.h\nninja\nran foo.o\nrm bar.h\nninja\nran foo.o"},
		{"DepfileCanonical", "| rule cc\n|   command = make && write $out.d gen/stuff//foo.o: x/../bar.h;\n|   depfile = $out.d\n| build gen/stuff/foo.o: cc foo.c\nwrite foo.c\nwrite bar.h\n" +
			"ninja\nran gen/stuff/foo.o\nninja\nran\ntouch bar.h\nninja\nran gen/stuff/foo.o"},
		{"DepfileOrderOnly", "| rule cc\n|   command = make && write $out.d foo.o: blah.h bar.h;\n|   depfile = $out.d\n| build foo.o: cc foo.c || otherfile\nwrite foo.c\nwrite otherfile\nwrite blah.h\nwrite bar.h\n" +
			"ninja\nran foo.o\ntouch blah.h\nninja\nran foo.o\ntouch otherfile\nninja\nran\nrm blah.h\nninja\nran foo.o"},
		{"DepfileOfAnother", "| rule cc\n|   command = make\n|   depfile = $out.d\n| build foo.o: cc foo.c\nwrite foo.c\nninja\nran foo.o\nwrite foo.o.d bar.o.d: header.h;\nninja\nran foo.o"},
		{"DepfileOfGeneratedHeader", "| rule cc\n|   command = need gen.h && make && write $out.d foo.o: gen.h;\n|   depfile = $out.d\n| build gen.h: make gen.in\n| build foo.o: cc foo.c || gen.h\nwrite foo.c\nwrite gen.in\n" +
			"ninja\nran gen.h foo.o\nninja\nran\ntouch gen.in\nninja\nran gen.h foo.o"},
		{"EmptyDepfileName", "| rule cc\n|   command = make\n|   deps = gcc\n| build out: cc\nninja\nran out\nexit 1\nsays edge with deps=gcc but no depfile makes no sense\nsays FAILED: out"},
		{"UnknownKind", "| rule cc\n|   command = make\n|   deps = icc\n| build out: cc\nninja\nran out\nexit 1\ncomplains ninja: fatal: unknown deps type 'icc'"},
		{"DepfileOfSuccessDoesNotParse", "| rule bad\n|   command = make && write in1.d XXX YYY\n|   depfile = in1.d\n|   deps = gcc\n| build out: bad in1\nwrite in1\nninja\nran out\nexit 1\nsays FAILED: out\nsays expected ':' in depfile\nsays ninja: build stopped: subcommand failed."},
		{"DepfileOfFailureDoesNotParse", "| rule bad\n|   command = write in1.d XXX YYY && say no && fail\n|   depfile = in1.d\n|   deps = gcc\n| build out: bad in1\nwrite in1\nninja\nran out\nexit 1\nsays no"},
		{"Recorded", logged + "ninja\nran foo.o\nlacks foo.o.d\nninja\nran\ntouch bar.h\nninja\nran foo.o\nninja\nran\nrm bar.h\nninja\nran foo.o\n"},
		{"RecordIsGone", logged + "ninja\nran foo.o\nrm .ninja_deps\nninja -d explain\nran foo.o\ncomplains ninja explain: deps for 'foo.o' are missing"},
		{"RecordIsOlder", logged + "ninja\nran foo.o\ntouch foo.o\nninja -d explain\nran foo.o\nninja\nran"},
		{"DepfileIsKept", logged + "ninja -d keepdepfile\nran foo.o\nhas foo.o.d foo.o: bar.h;"},
		{"IgnoredInADryRun", "| rule cc\n|   command = make\n|   deps = gcc\n|   depfile = in1.d\n| build out: cc in1\nwrite out\nwrite in1\nwrite in1.d out: in2;\nninja -n\nran\nsays [1/1] make\nhas in1.d out: in2;"},
		{"RecordedCanonically", "| rule cc\n|   command = make && write $out.d a/b//foo.o: x/../bar.h ./baz.h;\n|   depfile = $out.d\n|   deps = gcc\n| build a/b/foo.o: cc x/y/z/foo.c\nwrite x/y/z/foo.c\nwrite bar.h\nwrite baz.h\n" +
			"ninja\nran a/b/foo.o\nninja -t deps\nran\nsays bar.h\nsays baz.h\nninja\nran\ntouch baz.h\nninja\nran a/b/foo.o"},
		{"RestatAndDepfile", "| rule true2\n|   command = true\n|   restat = 1\n| rule cc\n|   command = cp deps out.d && make\n|   depfile = out.d\n| build header.h: true2 header.in\n| build out: cc in1\nwrite in1\nwrite header.h\nwrite header.in\nwrite deps out: header.h;\n" +
			"ninja out\nran out\nninja out\nran header.h\nninja\nran\ntouch header.in\nninja out\nran header.h\nninja\nran"},
		{"RestatAndRecord", "| rule true2\n|   command = true\n|   restat = 1\n| rule cc\n|   command = cp deps out.d && make\n|   depfile = out.d\n|   deps = gcc\n| build header.h: true2 header.in\n| build out: cc in1\nwrite in1\nwrite header.h\nwrite header.in\nwrite deps out: header.h;\n" +
			"ninja out\nran out\nninja out\nran header.h\nninja\nran\ntouch header.in\nninja out\nran header.h\nninja\nran"},
		{"RestatAndMissingDepfile", "| rule true2\n|   command = true\n|   restat = 1\n| build header.h: true2 header.in\n| build out: make header.h\n|   depfile = out.d\nwrite header.h\nwrite header.in\nninja\nran header.h out\ntouch header.in\nninja\nran header.h out"},
		{"RestatAndMissingRecord", "| rule true2\n|   command = true\n|   restat = 1\n| build header.h: true2 header.in\n| build out: make header.h\n|   depfile = out.d\n|   deps = gcc\nwrite header.h\nwrite header.in\nninja\nran header.h out\nninja\nran\nrm .ninja_deps\ntouch header.in\nninja\nran header.h out"},
		{"DiscoveredWhileBuilding", "| rule touch-out-implicit-dep\n|   command = touch $out && write $out.d $out: inimp;\n|   depfile = $out.d\n|   deps = gcc\n| rule touch-implicit-dep\n|   command = need in\n|   restat = 1\n" +
			"| build inimp: touch-implicit-dep in\n| build out: touch-out-implicit-dep in\nwrite inimp\nwrite in\nninja\nran inimp out\nninja\nran\ntouch in\nninja\nran inimp out\nninja\nran"},
		{"Obsolete", "| rule cc\n|   command = make && write $out.d out: in2;\n|   depfile = in1.d\n|   deps = gcc\n| build out: cc in1\nwrite in1\nninja\nran out\nrm out\nninja\nran out"},
		{"Msvc", "| rule cl\n|   command = say Note: including file: bar.h && make\n|   deps = msvc\n| build out: cl in\nwrite in\nwrite bar.h\nninja\nran out\nninja -t deps out\nran\nsays bar.h\ntouch bar.h\nninja\nran out"},
		{"MsvcPrefix", "| rule cl\n|   command = say using bar.h && make\n|   deps = msvc\n|   msvc_deps_prefix = using\n| build out1 out2: cl in\nwrite in\nwrite bar.h\nninja\nran out1\nninja -t deps out2\nran\nsays bar.h"},
		{"TwoOutputsOneLine", expand(two, "out1 out2: in1 in2;")},
		{"TwoOutputsLineEach", expand(two, "out1 out2: in1;out1 out2: in2;")},
		{"TwoOutputsApart", expand(two, "out1: in1 in2;out2: in1 in2;")},
		{"TwoOutputsOnlyFirst", expand(two, "out1: in1 in2;")},
		{"TwoOutputsOnlySecond", expand(two, "out2: in1 in2;")},
		{"ValidationThroughDepfile", `
			| rule cc
			|   command = make && write out2.d out2: out;
			|   deps = gcc
			|   depfile = out2.d
			| build out: make in |@ validate
			| build validate: make in2 | out
			| build out2: cc in3
			write in
			write in2
			write in3
			# That out2 needs out comes out when it is built.
			ninja out2
			ran out2
			ninja out2
			ran out validate out2
			ninja out2
			ran
			touch in
			ninja out2
			ran out validate out2
			touch in2
			ninja out2
			ran validate`},
	}.run(t)
}

func expand(script, depfile string) string {
	const at = "%s"
	i := 0
	for script[i:i+2] != at {
		i++
	}
	return script[:i] + depfile + script[i+2:]
}

// TestDyndep covers BuildTest's and BuildWithLogTest's dyndep cases.
func TestDyndep(t *testing.T) {
	const v = "ninja_dyndep_version = 1;"
	const made = "| rule cp\n|   command = cp $in $out\n| build dd: cp dd-in\n| build out: touch || dd\n|   dyndep = dd\n"
	scripts{
		{"MissingAndNoRule", "| build out: touch || dd\n|   dyndep = dd\nninja out\nran\nexit 1\ncomplains ninja: error: loading 'dd': File does not exist"},
		{"ReadyConnection", "| build tmp: touch || dd\n|   dyndep = dd\n| build out: touch || dd\n|   dyndep = dd\nwrite dd " + v + "build out | out.imp: dyndep | tmp.imp;build tmp | tmp.imp: dyndep;\nninja out\nran tmp out"},
		{"ReadySyntaxError", "| build out: touch || dd\n|   dyndep = dd\nwrite dd build out: dyndep;\nninja out\nran\nexit 1\ncomplains ninja: error: dd:1: expected 'ninja_dyndep_version = ...'"},
		{"ReadyCircular", "| rule r\n|   command = make\n| build out: r in || dd\n|   dyndep = dd\n| build in: r circ\nwrite dd " + v + "build out | circ: dyndep;\nwrite out\nninja out\nran\nexit 1\ncomplains ninja: error: dependency cycle: circ -> in -> circ"},
		{"Made", made + "write dd-in " + v + "build out: dyndep;\nninja out\nran dd out\nninja out\nran"},
		{"MadeSyntaxError", made + "write dd-in build out: dyndep;\nninja out\nran dd\nexit 1\nsays ninja: build stopped: dd:1: expected 'ninja_dyndep_version = ...'"},
		{"MadeUnrelated", "| rule cp\n|   command = cp $in $out\n| build dd: cp dd-in\n| build unrelated: touch || dd\n| build out: touch unrelated || dd\n|   dyndep = dd\nwrite dd-in " + v + "build out: dyndep;\nninja out\nran dd unrelated out"},
		{"NewOutput", "| rule cp\n|   command = cp $in $out\n| build dd: cp dd-in\n| build out: make in || dd\n|   dyndep = dd\nwrite in\nwrite dd-in " + v + "build out | out.imp: dyndep;\nninja out\nran dd out\nhas out.imp " + v + "build out | out.imp: dyndep;"},
		{"NewOutputOfTwo", "| build out1 | out-twice.imp: touch in\n" + made + "write in\nwrite dd-in " + v + "build out | out-twice.imp: dyndep;\nninja out1 out\nran *\nexit 1\nsays ninja: build stopped: multiple rules generate out-twice.imp."},
		{"NewOutputOfTwoFiles", "| rule cp\n|   command = cp $in $out\n| build dd1: cp dd1-in\n| build out1: touch || dd1\n|   dyndep = dd1\n| build dd2: cp dd2-in || dd1\n| build out2: touch || dd2\n|   dyndep = dd2\n" +
			"write dd1-in " + v + "build out1 | out-twice.imp: dyndep;\nwrite dd2-in " + v + "build out2 | out-twice.imp: dyndep;\nninja out1 out2\nran *\nexit 1\nsays ninja: build stopped: multiple rules generate out-twice.imp."},
		{"NewInput", "| build in: touch\n" + made + "write dd-in " + v + "build out: dyndep | in;\nninja out\nran dd in out"},
		{"NewInputWithValidation", "| build in: touch |@ valid\n| build valid: touch\n" + made + "write dd-in " + v + "build out: dyndep | in;\nninja out\nran dd in valid out"},
		{"NewInputWithFurtherValidation", "| build in: touch |@ valid\n| build in2: touch |@ valid2\n| build valid: touch in2\n| build valid2: touch\n" + made + "write dd-in " + v + "build out: dyndep | in;\nninja out\nran *\nhas valid2\nhas valid\nhas out"},
		{"NewConnection", "| rule cp\n|   command = cp $in $out\n| build dd: cp dd-in\n| build tmp: make tmp.in || dd\n|   dyndep = dd\n| build out: make out.in || dd\n|   dyndep = dd\nwrite tmp.in\nwrite out.in\n" +
			"write dd-in " + v + "build out | out.imp: dyndep | tmp.imp;build tmp | tmp.imp: dyndep;\nninja out\nran dd tmp out"},
		{"OutputAndDepfileInput", "| rule cp\n|   command = cp $in $out\n| build dd: cp dd-in\n| build tmp: make tmp.in || dd\n|   dyndep = dd\n| build out: make tmp\n|   depfile = out.d\nwrite tmp.in\nwrite out.d out: tmp.imp;\nwrite out\n" +
			"write dd-in " + v + "build tmp | tmp.imp: dyndep;\nninja out\nran dd tmp out\nhas tmp.imp " + v + "build tmp | tmp.imp: dyndep;"},
		{"EdgeIsWantedNow", "| rule cp\n|   command = cp $in $out\n| build dd: cp dd-in\n| build tmp: make in || dd\n|   dyndep = dd\n| build out: touch tmp || dd\n|   dyndep = dd\nwrite in\n" +
			"write dd-in " + v + "build out: dyndep;build tmp: dyndep;\nninja out\nran dd tmp out\nwrite dd-in " + v + "build out: dyndep;build tmp | tmp.imp: dyndep;\nninja out\nran dd tmp out"},
		{"EdgeAndDependentAreWantedNow", "| rule cp\n|   command = cp $in $out\n| build dd: cp dd-in\n| build tmp: make || dd\n|   dyndep = dd\n| build out: make tmp\nwrite tmp\nwrite out\nwrite dd-in " + v + "build tmp | tmp.imp: dyndep;\nninja out\nran dd tmp out"},
		{"Circular", "| rule r\n|   command = make\n| rule cp\n|   command = cp $in $out\n| build dd: cp dd-in\n| build out: r in || dd\n|   dyndep = dd\n| build in: r circ\nwrite dd-in " + v + "build out | circ: dyndep;\nwrite circ\nninja out\nran *\nexit 1\n" +
			"says ninja: build stopped: dependency cycle: circ -> in -> circ."},
		{"Restat", `
			| rule true2
			|   command = true
			| rule cp
			|   command = cp $in $out
			| build dd: cp dd-in
			| build out1: true2 in || dd
			|   dyndep = dd
			| build out2: make out1
			write out1
			write out2
			write in
			write dd-in ` + v + `build out1: dyndep;  restat = 1;
			ninja out2
			ran dd out1 out2
			touch in
			ninja out2
			ran out1`},
		{"ScheduledEdge", "| build out1 | out1.imp: touch\n" + made + "write dd-in " + v + "build out: dyndep | out1.imp;\nninja out1 out\nran out1 dd out"},
		{"TwoLevelsDirectly", "| rule cp\n|   command = cp $in $out\n| build dd1: cp dd1-in\n| build out1 | out1.imp: touch || dd1\n|   dyndep = dd1\n| build dd2: cp dd2-in || dd1\n| build out2: touch || dd2\n|   dyndep = dd2\n" +
			"write out1.imp\nwrite out2\nwrite dd1-in " + v + "build out1: dyndep;\nwrite dd2-in " + v + "build out2: dyndep | out1.imp;\nninja out2\nran *\nhas out2\nhas out1"},
		{"TwoLevelsIndirectly", "| rule cp\n|   command = cp $in $out\n| build dd1: cp dd1-in\n| build out1: touch || dd1\n|   dyndep = dd1\n| build dd2: cp dd2-in || out1\n| build out2: touch || dd2\n|   dyndep = dd2\n" +
			"write out1.imp\nwrite out2\nwrite dd1-in " + v + "build out1 | out1.imp: dyndep;\nwrite dd2-in " + v + "build out2: dyndep | out1.imp;\nninja out2\nran dd1 out1 dd2 out2"},
		{"SecondLevelReady", "| rule cp\n|   command = cp $in $out\n| build dd0: cp dd0-in\n| build dd1: cp dd1-in\n| build in: touch\n| build tmp: touch || dd0\n|   dyndep = dd0\n| build out: touch || dd1\n|   dyndep = dd1\n" +
			"write dd1-in " + v + "build out: dyndep | tmp;\nwrite dd0-in " + v + "build tmp: dyndep | in;\nwrite dd0 " + v + "build tmp: dyndep | in;\nninja out\nran *\nhas in\nhas tmp\nhas out"},
		{"SecondLevelDirty", "| rule cp\n|   command = cp $in $out\n| build dd0: cp dd0-in\n| build dd1: cp dd1-in\n| build in: touch\n| build tmp: touch || dd0\n|   dyndep = dd0\n| build out: touch || dd1\n|   dyndep = dd1\n" +
			"write dd1-in " + v + "build out: dyndep | tmp;\nwrite dd0-in " + v + "build tmp: dyndep | in;\nninja out\nran dd1 dd0 in tmp out"},
	}.run(t)
}
