package plan_test

import (
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/node/project/ninja"
	"github.com/buildnet/buildnet/node/project/ninja/plan"
	"github.com/buildnet/buildnet/node/project/ninja/record"
)

// disk holds texts and mtimes of files. A text is enough for a file to be there.
type disk struct {
	texts  map[string]string
	mtimes map[string]int64
}

func (d disk) ReadFile(path string) (string, error) {
	text, ok := d.texts[path]
	if !ok {
		return "", fs.ErrNotExist
	}
	return text, nil
}

func (d disk) Stat(path string) (int64, error) {
	if mtime, ok := d.mtimes[path]; ok {
		return mtime, nil
	}
	if _, ok := d.texts[path]; ok {
		return 1, nil
	}
	return 0, nil
}

const rules = "rule cat\n  command = cat $in > $out\n"

// world reads a manifest. files are "name", which has mtime 1, "name@mtime", or
// "name=text" with + for a space and ; for a line's end.
func world(t *testing.T, manifest, files string) (*ninja.Graph, disk) {
	t.Helper()
	d := disk{texts: map[string]string{"build.ninja": rules + manifest}, mtimes: map[string]int64{}}
	for _, f := range strings.Fields(files) {
		name, text, isText := strings.Cut(f, "=")
		if isText {
			d.texts[name] = strings.NewReplacer("+", " ", ";", "\n").Replace(text)
			continue
		}
		name, at, ok := strings.Cut(f, "@")
		d.mtimes[name] = 1
		if ok {
			mtime, err := strconv.ParseInt(at, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			d.mtimes[name] = mtime
		}
	}
	g, err := ninja.Load(d, "build.ninja", ninja.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return g, d
}

// TestOrder covers PlanTest and BuildTest's pools: what may start when. A script
// has "want NODE", "next NODES": all edges that may start now, by their first
// outputs, "done NODE", "failed NODE", and "end": nothing is left.
func TestOrder(t *testing.T) {
	for _, tc := range []struct{ name, manifest, files, script string }{
		{"Chain", "build out: cat mid\nbuild mid: cat in\n", "in",
			"want out; next mid; next; done mid; next out; done out; end"},
		{"TwoOutputsOfOneEdge", "build out: cat mid1 mid2\nbuild mid1 mid2: cat in\n", "in",
			"want out; next mid1; done mid1; next out; done out; end"},
		{"TwoOutputsFurtherDown", "build out: cat b1 b2\nbuild b1: cat a1\nbuild b2: cat a2\nbuild a1 a2: cat in\n", "in",
			"want out; next a1; done a1; next b1 b2; done b1; next; done b2; next out; done out; end"},
		{"Diamond", "build out: cat a1 a2\nbuild a1: cat mid\nbuild a2: cat mid\nbuild mid: cat in\n", "in",
			"want out; next mid; done mid; next a1 a2; done a1; done a2; next out; done out; end"},
		{"ManifestOrder", "build z: cat in\nbuild a: cat in\nbuild all: phony a z\n", "in",
			"want all; next z a; done a; done z; next all; done all; end"},
		{"PoolOfOne", "pool foobar\n  depth = 1\nrule poolcat\n  command = cat $in > $out\n  pool = foobar\nbuild out1: poolcat in\nbuild out2: poolcat in\n", "in",
			"want out1; want out2; next out1; next; done out1; next out2; next; done out2; next; end"},
		{"Console", "rule poolcat\n  command = cat $in > $out\n  pool = console\nbuild out1: poolcat in\nbuild out2: poolcat in\n", "in",
			"want out1; want out2; next out1; next; done out1; next out2; next; done out2; next; end"},
		{"PoolsOfTwo", "pool foobar\n  depth = 2\npool bazbin\n  depth = 2\n" +
			"rule foocat\n  command = cat $in > $out\n  pool = foobar\nrule bazcat\n  command = cat $in > $out\n  pool = bazbin\n" +
			"build out1: foocat in\nbuild out2: foocat in\nbuild out3: foocat in\n" +
			"build outb1: bazcat in\nbuild outb2: bazcat in\nbuild outb3: bazcat in\n  pool =\nbuild allTheThings: cat out1 out2 out3 outb1 outb2 outb3\n", "in",
			"want allTheThings; next out1 out2 outb1 outb2 outb3; done out1; next out3; done out2; done out3; done outb1; done outb2; next; done outb3; " +
				"next allTheThings; done allTheThings; end"},
		{"PoolAndSharedInputs", "pool compile\n  depth = 1\nrule gen_foo\n  command = touch foo.cpp\nrule gen_bar\n  command = touch bar.cpp\n" +
			"rule echo\n  command = echo $out > $out\nbuild foo.cpp.obj: echo foo.cpp || foo.cpp\n  pool = compile\n" +
			"build bar.cpp.obj: echo bar.cpp || bar.cpp\n  pool = compile\nbuild libfoo.a: echo foo.cpp.obj bar.cpp.obj\n" +
			"build foo.cpp: gen_foo\nbuild bar.cpp: gen_bar\nbuild all: phony libfoo.a\n", "",
			"want all; next foo.cpp bar.cpp; done foo.cpp; next foo.cpp.obj; done bar.cpp; next; done foo.cpp.obj; next bar.cpp.obj; " +
				"done bar.cpp.obj; next libfoo.a; done libfoo.a; next all; done all; end"},
		{"PoolAfterFailure", "pool foobar\n  depth = 1\nrule poolcat\n  command = cat $in > $out\n  pool = foobar\nbuild out1: poolcat in\nbuild out2: poolcat in\n", "in",
			"want out1; want out2; next out1; next; failed out1; next out2; failed out2; next"},
		{"ReadyButNotWanted", "pool some_pool\n  depth = 4\nrule touch\n  command = touch $out\n  pool = some_pool\nrule cc\n  command = touch grit\n" +
			"build B.d.stamp: cc | B.stamp\nbuild C.stamp: touch B.stamp\nbuild final.stamp: touch || C.stamp\n", "B.stamp",
			"want final.stamp; next C.stamp; done C.stamp; next final.stamp; done final.stamp; end"},
		{"Validation", "build out: cat in |@ check\nbuild check: cat in2\n", "in in2", "want out; next out check; done check; done out; end"},
		{"ValidationNeedsTheOutput", "build out: cat in |@ check\nbuild check: cat in2 | out\n", "in in2",
			"want out; next out; done out; next check; done check; end"},
		{"ValidationsInACircle", "build out: cat in |@ out2\nbuild out2: cat in2 |@ out\n", "in in2",
			"want out; next out out2; done out2; done out; end"},
		{"ValidationOfValidation", "build out: cat in |@ check\nbuild check: cat in |@ check2\nbuild check2: cat in\n", "in",
			"want out; next out check check2; done out; done check; done check2; end"},
		{"DyndepBringsEdges", "build dd: cat dd.in\nbuild out: cat in || dd\n  dyndep = dd\nbuild mid: cat in\n",
			"in dd.in dd=ninja_dyndep_version+=+1;build+out:+dyndep+|+mid;", "want out; next dd; done dd; next mid; done mid; next out; done out; end"},
		{"DyndepOfScheduledEdge", "build o1 | o1.i: cat in1\nbuild zdd: cat zdd.in\nbuild out: cat in1 || zdd\n  dyndep = zdd\n",
			"in1 zdd.in zdd=ninja_dyndep_version+=+1;build+out:+dyndep+|+o1.i;", "want o1; want out; next o1 zdd; done zdd; next; done o1; next out; done out; end"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g, d := world(t, tc.manifest, tc.files)
			if tc.name == "DyndepBringsEdges" || tc.name == "DyndepOfScheduledEdge" {
				// The file is made during the build.
				name := g.Lookup("out").In.Dyndep.Path
				d.mtimes[name] = 0
			}
			p := plan.New(plan.NewScan(g, d, plan.Options{}))
			for line := range strings.SplitSeq(tc.script, "; ") {
				play(t, g, p, line)
			}
		})
	}
}

// play carries out one line of a script.
func play(t *testing.T, g *ninja.Graph, p *plan.Plan, line string) {
	t.Helper()
	verb, rest, _ := strings.Cut(line, " ")
	var err error
	switch verb {
	case "want":
		err = p.Add(g.Lookup(rest))
	case "next":
		var got []string
		for e := p.Next(); e != nil; e = p.Next() {
			got = append(got, e.Outputs[0].Path)
		}
		if !slices.Equal(got, strings.Fields(rest)) {
			t.Errorf("%s: got %q", line, got)
		}
	case "done":
		err = p.Finished(g.Lookup(rest).In)
	case "failed":
		p.Failed(g.Lookup(rest).In)
	case "end":
		if p.More() {
			t.Error("there is more to do")
		}
	default:
		t.Fatalf("unknown verb in %q", line)
	}
	if err != nil {
		t.Errorf("%s: %v", line, err)
	}
}

// TestDirty covers GraphTest and StatTest: what is dirty, why, and what cannot be
// built. want is the dirty nodes, or "error: ...".
func TestDirty(t *testing.T) {
	const dd = "ninja_dyndep_version+=+1;"
	for _, tc := range []struct{ name, manifest, files, target, want string }{
		{"UpToDate", "build out: cat in\n", "in out", "out", ""},
		{"Older", "build out: cat in\n", "in@2 out", "out", "out"},
		{"AsOld", "build out: cat in\n", "in@2 out@2", "out", ""},
		{"Missing", "build out: cat in\n", "in", "out", "out"},
		{"TwoStepsDown", "build out: cat mid\nbuild mid: cat in\n", "in@2 mid out@3", "out", "mid out"},
		{"TheMiddleIsMissing", "build out: cat mid\nbuild mid: cat in\n", "in out", "out", "mid out"},
		{"OneBranch", "build out: cat m1 m2\nbuild m1: cat a b\nbuild m2: cat c\n", "a b c@3 m1@2 m2@2 out@4", "out", "m2 out"},
		{"MissingSource", "build out: cat in\n", "out", "out", "error: 'in', needed by 'out', missing and no known rule to make it"},
		{"MissingTarget", "build out: cat in\n", "", "in", "error: 'in' missing and no known rule to make it"},
		{"MissingImplicit", "build out: cat in | implicit\n", "in out", "out", "error: 'implicit', needed by 'out', missing and no known rule to make it"},
		{"NewerImplicit", "build out: cat in | implicit\n", "in out implicit@2", "out", "out"},
		{"ExplicitIsImplicitToo", "build implicit.h: cat data\nbuild out: cat in || implicit.h\n", "data@2 implicit.h in out", "out", "implicit.h"},
		{"NewerOrderOnly", "build out: cat in || order\n", "in out order@2", "out", ""},
		{"MissingOrderOnly", "build out: cat in || order\n", "in out", "out", "order"},
		{"ImplicitOutMissing", "build out | out.imp: cat in\n", "in out", "out", "out out.imp"},
		{"ImplicitOutOlder", "build out | out.imp: cat in\n", "in@2 out.imp out@2", "out", "out out.imp"},
		{"OnlyImplicitOutMissing", "build | out.imp: cat in\n", "in", "out.imp", "out.imp"},
		{"OnlyImplicitOutOlder", "build | out.imp: cat in\n", "in@2 out.imp", "out.imp", "out.imp"},
		{"CurrentDirectory", "rule catdep\n  depfile = $out.d\n  command = cat $in > $out\nbuild ./out.o: catdep ./foo.cc\n",
			"foo.cc out.o.d=out.o:+foo.cc; out.o", "out.o", ""},
		{"DepfileNotCanonical", "rule catdep\n  depfile = $out.d\n  command = cat $in > $out\nbuild ./out.o: catdep ./foo.cc\n",
			"foo.cc out.o.d=./out.o:+bar/../foo.cc; out.o", "out.o", ""},
		{"DepfileIsGone", "rule catdep\n  depfile = $out.d\n  command = cat $in > $out\nbuild out.o: catdep foo.cc\n", "foo.cc out.o", "out.o", "out.o"},
		{"DepfileNewer", "rule catdep\n  depfile = $out.d\n  command = cat $in > $out\nbuild out.o: catdep foo.cc\n",
			"foo.cc out.o foo.h@2 out.o.d=out.o:+foo.h;", "out.o", "out.o"},
		{"DepfileNamesMissing", "rule catdep\n  depfile = $out.d\n  command = cat $in > $out\nbuild out.o: catdep foo.cc\n",
			"foo.cc out.o out.o.d=out.o:+foo.h;", "out.o", "foo.h out.o"},
		{"DepfileOfTheEdge", "rule r\n  depfile = x\n  command = unused\nbuild out.o: r in.c\n  depfile = y\n", "in.c out.o y=out.o:+in.c;", "out.o", ""},
		{"DepfileOfTheFile", "rule r\n  depfile = x\n  command = depfile_is_$depfile\nbuild out.o: r in.c\n", "in.c out.o x=out.o:+in.c;", "out.o", ""},
		{"DepfileOfAnother", "rule catdep\n  depfile = $out.d\n  command = cat $in > $out\nbuild out.o: catdep foo.cc\n",
			"foo.cc out.o out.o.d=other.o:+foo.h;", "out.o", "out.o"},
		{"DepfileNoOutputs", "rule catdep\n  depfile = $out.d\n  command = cat $in > $out\nbuild out.o: catdep foo.cc\n",
			"foo.cc out.o out.o.d=:+foo.h;", "out.o", "error: out.o.d: no outputs declared"},
		{"DepfileNoColon", "rule catdep\n  depfile = $out.d\n  command = cat $in > $out\nbuild out.o: catdep foo.cc\n",
			"foo.cc out.o out.o.d=xyz;", "out.o", "error: out.o.d: expected ':' in depfile"},
		{"DepfileUndeclared", "rule catdep\n  depfile = $out.d\n  command = cat $in > $out\nbuild out.o: catdep foo.cc\n",
			"foo.cc out.o out.o.d=out.o+more.o:+foo.cc;", "out.o", "error: out.o.d: depfile mentions 'more.o' as an output, but no such output was declared"},
		{"PhonyInPhony", "build n1: phony\nbuild n2: phony n1\n", "", "n2", "n1 n2"},
		{"PhonyFile", "build n1: phony\nbuild out: cat n1\n", "n1 out", "out", ""},
		{"PhonySelf", "build a: phony b a\n", "b", "a", ""},
		{"PhonyGivesItsTime", "build in_ph: phony in1\nbuild out1: cat in_ph\n", "in1@2 out1", "out1", "out1"},
		{"PhonyGivesItsTimeButOlder", "build in_ph: phony in1\nbuild out1: cat in_ph\n", "in1 out1@2", "out1", ""},
		{"Cycle", "build out: cat mid\nbuild mid: cat in\nbuild in: cat pre\nbuild pre: cat out\n", "", "out",
			"error: dependency cycle: out -> mid -> in -> pre -> out"},
		{"CycleOfTwo", "build a b: cat a\n", "", "b", "error: dependency cycle: a -> a"},
		{"CycleByTheOtherOutput", "build b a: cat a\n", "", "b", "error: dependency cycle: a -> a"},
		{"CycleOfEdges", "build a b: cat c\nbuild c: cat a\n", "", "b", "error: dependency cycle: a -> c -> a"},
		{"CycleOfThree", "build d: cat c\nbuild c: cat b\nbuild b: cat a\nbuild a e: cat d\nbuild f: cat e\n", "", "f",
			"error: dependency cycle: a -> d -> c -> b -> a"},
		{"CycleByDepfile", "rule deprule\n  depfile = dep.d\n  command = unused\nbuild a b: deprule\n", "dep.d=a:+b;", "a", "error: dependency cycle: b -> b"},
		{"CycleByDepfileAndEdge", "rule deprule\n  depfile = dep.d\n  command = unused\nrule r\n  command = unused\nbuild a b: deprule\nbuild c: r b\n",
			"dep.d=a:+c;", "a", "error: dependency cycle: b -> c -> b"},
		{"CycleByDepfileOneHopAway", "rule deprule\n  depfile = dep.d\n  command = unused\nrule r\n  command = unused\nbuild a b: deprule\nbuild c: r b\nbuild d: r a\n",
			"dep.d=a:+c;", "d", "error: dependency cycle: b -> c -> b"},
		{"DyndepMissing", "build out: cat in || dd\n  dyndep = dd\n", "in", "out", "error: loading 'dd': file does not exist"},
		{"DyndepFault", "build out: cat in || dd\n  dyndep = dd\n", "in dd=" + dd + "build+unknown:+dyndep;", "out",
			"error: dd:2: no build statement exists for 'unknown'\nbuild unknown: dyndep\n             ^ near here"},
		{"DyndepInputNewer", "build out: cat in || dd\n  dyndep = dd\n", "in in2@2 out dd=" + dd + "build+out:+dyndep+|+in2;", "out", "out"},
		{"DyndepOutput", "build out: cat in || dd\n  dyndep = dd\n", "in out dd=" + dd + "build+out+|+more:+dyndep;", "out", "more out"},
		{"DyndepIsMadeAndClean", "build dd: cat dd-in\nbuild out: cat in || dd\n  dyndep = dd\n", "in in2 dd-in dd=" + dd + "build+out:+dyndep+|+in2;", "out", "out"},
		{"DyndepIsMadeAndDirty", "build dd: cat dd-in\nbuild out: cat in || dd\n  dyndep = dd\n", "in dd-in@2 out dd=" + dd + "build+unknown:+dyndep;", "out", "dd"},
		{"DyndepNotReady", "build tmp: cat tmp.in\nbuild dd: cat dd-in || tmp\nbuild out: cat in || dd\n  dyndep = dd\n",
			"in tmp.in dd-in out dd=" + dd + "build+unknown:+dyndep;", "out", "tmp"},
		{"DyndepSecondNotReady", "build dd1: cat dd1-in\nbuild dd2-in: cat dd2-in.in || dd1\n  dyndep = dd1\nbuild dd2: cat dd2-in\nbuild out: cat in || dd2\n  dyndep = dd2\n",
			"in dd1-in@2 dd1=unread dd2-in.in dd2-in dd2=unread out", "out", "dd1"},
		{"DyndepMakesACycle", "build out: cat in || dd\n  dyndep = dd\nbuild in: cat circ\n", "dd=" + dd + "build+out+|+circ:+dyndep;", "out",
			"error: dependency cycle: circ -> in -> circ"},
		{"DyndepNotMentioned", "build out: cat in || dd\n  dyndep = dd\n", "in dd=" + dd, "out", "error: 'out' not mentioned in its dyndep file 'dd'"},
		{"DyndepOfAnother", "build out: cat in || dd\n  dyndep = dd\nbuild out2: cat in || dd\n", "in dd=" + dd + "build+out:+dyndep;build+out2:+dyndep;", "out",
			"error: dyndep file 'dd' mentions output 'out2' whose build statement does not have a dyndep binding for the file"},
		{"DyndepOutputOfTwo", "build out1 | twice: cat in\nbuild out2: cat in || dd\n  dyndep = dd\n", "in dd=" + dd + "build+out2+|+twice:+dyndep;", "out2",
			"error: multiple rules generate twice"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g, d := world(t, tc.manifest, tc.files)
			scan := plan.NewScan(g, d, plan.Options{})
			var dirty []string
			if err := plan.New(scan).Add(g.Node(tc.target)); err != nil {
				dirty = []string{"error: " + err.Error()}
			} else {
				for _, n := range g.Nodes {
					if scan.Dirty(n) {
						dirty = append(dirty, n.Path)
					}
				}
			}
			slices.Sort(dirty)
			if got := strings.Join(dirty, " "); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

// TestReasons covers what -d explain says where a record of earlier builds is.
func TestReasons(t *testing.T) {
	for _, tc := range []struct {
		name, manifest, files string
		commands              map[string]record.Command
		want                  string
	}{
		{"Recorded", "build out: cat in\n", "in out", map[string]record.Command{"out": {Mtime: 1, Hash: record.Hash([]byte("cat in > out"))}}, ""},
		{"NotRecorded", "build out: cat in\n", "in out", nil, "command line not found in log for out"},
		{"OtherCommand", "build out: cat in\n", "in out", map[string]record.Command{"out": {Mtime: 1, Hash: 1}}, "command line changed for out"},
		{"RecordedBefore", "build out: cat in\n", "in@2 out@3", map[string]record.Command{"out": {Mtime: 1, Hash: record.Hash([]byte("cat in > out"))}},
			"recorded mtime of out older than most recent input in (1 vs 2)"},
		{"Generator", "rule gen\n  command = gen\n  generator = 1\nbuild out: gen in\n", "in out", nil, ""},
		{"GeneratorOtherCommand", "rule gen\n  command = gen\n  generator = 1\nbuild out: gen in\n", "in out", map[string]record.Command{"out": {Mtime: 1, Hash: 1}}, ""},
		{"Restat", "rule re\n  command = re\n  restat = 1\nbuild out: re in\n", "in@2 out", map[string]record.Command{"out": {Mtime: 2, Hash: record.Hash([]byte("re"))}}, ""},
		{"RestatOlder", "rule re\n  command = re\n  restat = 1\nbuild out: re in\n", "in@3 out", map[string]record.Command{"out": {Mtime: 2, Hash: 1}},
			"restat of output out older than most recent input in (2 vs 3)"},
		{"Rspfile", "rule r\n  command = r\n  rspfile = x\n  rspfile_content = $in\nbuild out: r in\n", "in out",
			map[string]record.Command{"out": {Mtime: 1, Hash: record.Hash([]byte("r;rspfile=in"))}}, ""},
		{"OtherRspfile", "rule r\n  command = r\n  rspfile = x\n  rspfile_content = $in more\nbuild out: r in\n", "in out",
			map[string]record.Command{"out": {Mtime: 1, Hash: record.Hash([]byte("r;rspfile=in"))}}, "command line changed for out"},
		{"MissingSource", "build out: cat in\n", "out", nil, "in has no in-edge and is missing\nin is dirty"},
		{"NoDeps", "rule cc\n  command = cc\n  deps = gcc\n  depfile = d\nbuild out: cc in\n", "in out", map[string]record.Command{"out": {Mtime: 1, Hash: record.Hash([]byte("cc"))}},
			"deps for 'out' are missing"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g, d := world(t, tc.manifest, tc.files)
			commands := record.NewCommands()
			for output, c := range tc.commands {
				commands.Record([]string{output}, c)
			}
			var reasons []string
			scan := plan.NewScan(g, d, plan.Options{Commands: commands, Deps: record.NewDeps(), Explain: func(r string) { reasons = append(reasons, r) }})
			if _, err := scan.Visit(g.Lookup("out")); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(reasons, "\n"); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

// TestMissing covers MissingDependencyScannerTest. deps are recorded as
// "output:input".
func TestMissing(t *testing.T) {
	const gen = "rule gen\n  command = gen\nrule cc\n  command = cc\n  deps = gcc\n  depfile = $out.d\n"
	for _, tc := range []struct{ name, manifest, deps, want string }{
		{"EmptyGraph", "", "", ""},
		{"NoMissingDep", gen + "build generated: gen\nbuild compiled: cc\n", "", ""},
		{"Present", gen + "build generated: gen\nbuild compiled: cc\n", "compiled:generated", "compiled generated gen"},
		{"FixedDirectly", gen + "build generated: gen\nbuild compiled: cc | generated\n", "compiled:generated", ""},
		{"FixedByAnother", gen + "build generated: gen\nbuild mid: gen generated\nbuild compiled: cc | mid\n", "compiled:generated", ""},
		{"FixedByOrder", gen + "build generated: gen\nbuild compiled: cc || generated\n", "compiled:generated", ""},
		{"InACircleOfDeps", gen + "build generated: cc\nbuild compiled: cc\n", "compiled:generated generated:compiled",
			"compiled generated cc, generated compiled cc"},
		{"InACircle", gen + "build a: cc b\nbuild b: cc a\nbuild other: cc a\n", "other:b", ""},
		{"OfTheManifest", gen + "build build.ninja: gen\nbuild generated: gen\nbuild compiled: cc\n", "compiled:build.ninja compiled2:generated", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g, d := world(t, tc.manifest, "")
			deps := record.NewDeps()
			for _, entry := range strings.Fields(tc.deps) {
				output, input, _ := strings.Cut(entry, ":")
				if _, err := deps.Record(output, 1, []string{input}); err != nil {
					t.Fatal(err)
				}
			}
			var found []string
			m := plan.NewMissing(g, plan.NewScan(g, d, plan.Options{Deps: deps}), func(f plan.MissingDep) {
				found = append(found, f.Output+" "+f.Input+" "+f.Rule)
			})
			for _, e := range g.Edges {
				for _, n := range e.Outputs {
					if err := m.Check(n); err != nil {
						t.Fatal(err)
					}
				}
			}
			slices.Sort(found)
			if got := strings.Join(found, ", "); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
			if (m.Paths > 0) != (tc.want != "") || len(m.Outputs) > m.Processed() {
				t.Errorf("%d paths, %d outputs of %d", m.Paths, len(m.Outputs), m.Processed())
			}
		})
	}
}
