package costs

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/memory"
)

var start = time.Unix(1_700_000_000, 0)

// run takes work BPU-seconds on a core of 1 BPU.
func run(work float64) Run {
	d := time.Duration(work * float64(time.Second))
	return Run{Wall: d, CPU: d, BPU: 1, Share: 1, OK: true}
}

func after(e Estimate, works ...float64) Estimate {
	for _, w := range works {
		e = e.After(run(w), start)
	}
	return e
}

func TestWorkIsHowLongASlotWasKept(t *testing.T) {
	for name, tc := range map[string]struct {
		wall, cpu  time.Duration
		bpu, share float64
		want       float64
	}{
		"Computes":         {2 * time.Second, 2 * time.Second, 1, 1, 2},
		"FasterMachine":    {2 * time.Second, 2 * time.Second, 3, 1, 6},
		"WaitedForACore":   {4 * time.Second, 2 * time.Second, 1, 1, 2},
		"HadAFifthOfACore": {10 * time.Second, 2 * time.Second, 1, 0.2, 2},
		"OnSeveralCores":   {2 * time.Second, 8 * time.Second, 1, 1, 2},
		"OnABusyMachine":   {10 * time.Second, 2100 * time.Millisecond, 1, 1, 2.1},
		"WaitsForATenth":   {10 * time.Second, time.Second, 1, 1, 2},
		"Sleeps":           {2 * time.Second, time.Millisecond, 1, 1, 2},
		"Nothing":          {0, 0, 1, 1, minWork},
		"NegativeAndNoBPU": {-5, -7, math.NaN(), math.NaN(), minWork},
		"Endless":          {math.MaxInt64, math.MaxInt64, math.Inf(1), 1, action.MaxCost},
	} {
		r := Run{Wall: tc.wall, CPU: tc.cpu, BPU: tc.bpu, Share: tc.share}
		if got := r.Work(); math.Abs(got-tc.want) > 1e-3*tc.want {
			t.Errorf("%s: %v BPU-seconds, want %v", name, got, tc.want)
		}
	}
}

func TestKinds(t *testing.T) {
	base := func() action.Step {
		return action.Step{
			ID: "lib:a.o", Package: "lib", Argv: []string{"/usr/bin/cc", "-c", "a.c"}, Outputs: []string{"lib/a.o"},
			Platform: []action.Property{{Name: action.PropertyToolchain, Value: "blake3:1"}, {Name: action.PropertyToolchainSpec, Value: "cc:cc"}},
		}
	}
	one := base()
	want := KindsOf(&one)
	for name, tc := range map[string]struct {
		change             func(*action.Step)
		sameStep, sameRule bool
	}{
		"Arguments":      {func(s *action.Step) { s.Argv = append(s.Argv, "-O3") }, true, true},
		"Directory":      {func(s *action.Step) { s.Dir = "x" }, true, true},
		"WhereTheToolIs": {func(s *action.Step) { s.Argv[0] = "cc" }, true, true},
		"NewCompiler":    {func(s *action.Step) { s.Platform[0].Value = "blake3:2" }, true, true},
		"Name":           {func(s *action.Step) { s.ID, s.Outputs = "lib:b.o", []string{"lib/b.o"} }, false, true},
		"Package":        {func(s *action.Step) { s.Package = "other" }, false, true},
		"Tool":           {func(s *action.Step) { s.Argv[0] = "tcc" }, false, false},
		"Spec":           {func(s *action.Step) { s.Platform[1].Value = "link:cc" }, false, false},
		"Ending":         {func(s *action.Step) { s.Outputs = []string{"lib/a.so"} }, true, false},
		"Check":          {func(s *action.Step) { s.Outputs = nil }, true, false},
	} {
		s := base()
		tc.change(&s)
		if got := KindsOf(&s); (got.Step == want.Step) != tc.sameStep || (got.Rule == want.Rule) != tc.sameRule {
			t.Errorf("%s: same step %v, same rule %v", name, got.Step == want.Step, got.Rule == want.Rule)
		}
	}
	if want.Step == want.Rule {
		t.Error("a step is its rule")
	}
}

// Whatever is learned and told, all numbers stay finite and within the limits.
func TestEstimatesStayWithinTheirLimits(t *testing.T) {
	number := rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{0, 1, math.NaN(), math.Inf(1), math.Inf(-1)}))
	moment := rapid.Custom(func(t *rapid.T) time.Time {
		return time.Unix(rapid.Int64Range(-1<<40, 1<<40).Draw(t, "seconds"), 0)
	})
	told := rapid.Custom(func(t *rapid.T) Estimate {
		return Estimate{
			Runs: number.Draw(t, "runs"), Failures: number.Draw(t, "failures"), Mean: number.Draw(t, "mean"),
			Variance: number.Draw(t, "variance"), Memory: number.Draw(t, "memory"), Output: number.Draw(t, "output"), Last: moment.Draw(t, "last"),
		}
	})
	ran := rapid.Custom(func(t *rapid.T) Run {
		return Run{
			Wall: time.Duration(rapid.Int64().Draw(t, "wall")), CPU: time.Duration(rapid.Int64().Draw(t, "cpu")),
			BPU: number.Draw(t, "bpu"), Share: number.Draw(t, "share"), Memory: rapid.Int64().Draw(t, "memory"),
			Bytes: rapid.Int64().Draw(t, "bytes"), OK: rapid.Bool().Draw(t, "ok"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		var own, heard Estimate
		now := start
		for range rapid.IntRange(1, 20).Draw(t, "events") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(1000*time.Hour)).Draw(t, "later")))
			if rapid.Bool().Draw(t, "own") {
				own = own.After(ran.Draw(t, "run"), now)
			} else {
				heard = heard.Hear(told.Draw(t, "told"), now)
			}
			for _, e := range []Estimate{own, heard, own.Over(heard)} {
				if v := e.valid(now); !near(e.Mean, v.Mean) || !near(e.Variance, v.Variance) || !near(e.Runs, v.Runs) ||
					!near(e.Failures, v.Failures) || !near(e.Memory, v.Memory) || !near(e.Output, v.Output) {
					t.Fatalf("%+v is not valid: %+v is", e, v)
				}
				if w := e.Work(); !(w >= minWork && w <= action.MaxCost) {
					t.Fatalf("%+v expects %v", e, w)
				}
				if d := e.Deviation(); !(d >= 0 && d <= spread) {
					t.Fatalf("%+v deviates by %v", e, d)
				}
				back, ok := decode(e.encode())
				if !e.Last.IsZero() && (!ok || !near(back.Work(), e.Work()) || !near(back.Memory, e.Memory) || !back.Last.Equal(e.Last.Truncate(time.Second))) {
					t.Fatalf("%+v comes back as %+v", e, back)
				}
			}
		}
	})
}

// near reports whether a and b differ by rounding alone.
func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*max(1, math.Abs(a), math.Abs(b)) }

func TestEstimateIsWithinWhatWasSeen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		works := rapid.SliceOfN(rapid.Float64Range(0.01, 1000), 1, 40).Draw(t, "works")
		low, high := math.Inf(1), 0.0
		var e Estimate
		for _, w := range works {
			low, high = min(low, w), max(high, w)
			e = after(e, w)
			if got := math.Exp(e.Mean); got < low*(1-1e-6) || got > high*(1+1e-6) {
				t.Fatalf("%v expects %v of %v to %v", e, got, low, high)
			}
		}
	})
}

// One run that took long is forgotten; a step that has become slower is not.
func TestOneOutlierMovesLittleAndAChangeIsFollowed(t *testing.T) {
	steady := after(Estimate{}, 2, 2.1, 1.9, 2, 2.05, 2)
	if got := after(steady, 200).Work(); got > 2*2 {
		t.Errorf("one run of 200 among those of 2: %v", got)
	}
	if got := after(steady, 200, 2, 2, 2, 2).Work(); got > 3 {
		t.Errorf("four runs later: %v", got)
	}
	if got := after(steady, 20, 20, 20, 20, 20, 20).Work(); got < 10 || got > 30 {
		t.Errorf("six runs of 20: %v", got)
	}
}

func TestMemoryIsAPeakThatIsForgottenSlowly(t *testing.T) {
	mem := func(e Estimate, n int64, ok bool) Estimate {
		r := run(1)
		r.Memory, r.OK = n, ok
		return e.After(r, start)
	}
	e := mem(mem(Estimate{}, 100, true), 1000, false)
	if e.Memory != 1000 || e.Runs != 1 || e.Failures != 1 {
		t.Errorf("after one that failed with 1000: %+v", e)
	}
	if e = mem(e, 100, true); e.Memory <= 800 || e.Memory >= 1000 {
		t.Errorf("and one of 100: %v", e.Memory)
	}
	for range 30 {
		e = mem(e, 100, true)
	}
	if e.Memory > 110 {
		t.Errorf("30 runs later: %v", e.Memory)
	}
}

func TestOldRunsCountLess(t *testing.T) {
	e := after(Estimate{}, 2, 2, 2, 2, 2, 2, 2, 2)
	later := start.Add(5 * halfLife)
	if got := e.After(run(4), later); got.Runs > 1.5 || got.Work() < 3 {
		t.Errorf("a run of 4, long after: %+v expects %v", got, got.Work())
	}
}

func TestOwnRunsCountMoreThanWhatIsTold(t *testing.T) {
	var heard Estimate
	for range 100 {
		heard = heard.Hear(after(Estimate{}, 1000, 1000, 1000, 1000), start)
	}
	if heard.Runs > maxHeard {
		t.Errorf("what was told a hundred times counts as %v runs", heard.Runs)
	}
	if got := (Estimate{}).Over(heard).Work(); math.Abs(got-1000) > 1 {
		t.Errorf("nothing of its own: %v, want what others tell", got)
	}
	own := after(Estimate{}, 1, 1)
	if got := math.Exp(own.Over(heard).Mean); got > math.Sqrt(1000) {
		t.Errorf("two runs of 1 against a hundred told of 1000: %v", got)
	}
	if got := after(own, 1).Over(heard).Work(); got > 1.01 {
		t.Errorf("three of its own: %v", got)
	}
}

func books() (*Book, *memory.KV, *memory.KV) {
	own, heard := &memory.KV{}, &memory.KV{}
	return New(own, heard), own, heard
}

func kinds(name string) Kinds { return Kinds{Step: kindOf("step", name), Rule: kindOf("rule")} }

func TestARunTellsOfItsStepAndOfItsRule(t *testing.T) {
	b, _, _ := books()
	if e, ok := b.Known(kinds("a").Step); ok {
		t.Errorf("an empty book knows %+v", e)
	}
	for i, w := range []float64{1, 2, 4} {
		r := run(w)
		r.Bytes, r.Memory = 100, 200
		if err := b.Learn(kinds(fmt.Sprint(i)), r, start); err != nil {
			t.Fatal(err)
		}
	}
	if e, _ := b.Known(kinds("0").Step); math.Abs(e.Work()-1) > 1e-6 || e.Output != 100 || e.Memory != 200 {
		t.Errorf("its own run: %+v expects %v", e, e.Work())
	}
	if e, ok := b.Known(kinds("new").Step); ok {
		t.Errorf("a new step: %+v", e)
	}
	if e, ok := b.Known(kinds("new").Rule); !ok || e.Work() < 1.5 || e.Work() > 3 {
		t.Errorf("its rule: %+v expects %v", e, e.Work())
	}
}

func TestFailuresTellNothingOfTime(t *testing.T) {
	b, _, _ := books()
	r := run(5)
	r.OK = false
	if err := b.Learn(kinds("a"), r, start); err != nil {
		t.Fatal(err)
	}
	if e, ok := b.Known(kinds("a").Step); ok || e.Failures != 1 {
		t.Errorf("known: %+v", e)
	}
}

func TestBookOutlivesItsProcessAndWhatOthersWrote(t *testing.T) {
	b, own, heard := books()
	for range 5 {
		if err := b.Learn(kinds("a"), run(3), start); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(b.Flush(), b.Hear(kinds("b").Step, after(Estimate{}, 7), start)); err != nil {
		t.Fatal(err)
	}
	again := New(own, heard)
	for name, want := range map[string]float64{"a": 3, "b": 7} {
		if e, ok := again.Known(kinds(name).Step); !ok || math.Abs(e.Work()-want) > 1e-6 {
			t.Errorf("%s: %+v, want work of %v", name, e, want)
		}
	}
	old := kinds("old").Step
	if err := again.own.Put(old[:], []byte("8 bytes.")); err != nil {
		t.Fatal(err)
	}
	if e, ok := again.Known(old); ok {
		t.Errorf("what another version wrote: %+v", e)
	}
	if _, err := again.own.Get(old[:]); err == nil {
		t.Error("it stays")
	}
}

// What is lost without a Flush is bounded.
func TestWhatIsLearnedIsWrittenInParts(t *testing.T) {
	b, own, heard := books()
	const n = 3 * maxUnwritten
	for i := range n {
		if err := b.Learn(kinds(fmt.Sprint(i)), run(3), start); err != nil {
			t.Fatal(err)
		}
	}
	count := func() (known int) {
		again := New(own, heard)
		for i := range n {
			if _, ok := again.Known(kinds(fmt.Sprint(i)).Step); ok {
				known++
			}
		}
		return known
	}
	if got := count(); got <= n-maxUnwritten || got == n {
		t.Errorf("%d of %d are written", got, n)
	}
	if err := b.Flush(); err != nil || count() != n {
		t.Errorf("after a flush %d of %d are written: %v", count(), n, err)
	}
}

// A book that cannot be read knows nothing, and says so when it is to learn.
func TestABrokenStoreIsNoKnowledge(t *testing.T) {
	b := New(broken{}, broken{})
	if _, ok := b.Known(kinds("a").Step); ok {
		t.Error("it knows something")
	}
	if b.Learn(kinds("a"), run(1), start) == nil || b.Hear(kinds("a").Step, Estimate{}, start) == nil {
		t.Error("it says that it has learned")
	}
}

type broken struct{ store.KV }

func (broken) Get([]byte) ([]byte, error) { return nil, fmt.Errorf("the disk is gone") }

// Whatever lies in the store, what is read of it can be worked with.
func FuzzDecode(f *testing.F) {
	f.Add(after(Estimate{}, 1, 2, 3).encode())
	f.Add([]byte("8 bytes."))
	f.Add(bytes.Repeat([]byte{version}, encodedBytes))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, ok := decode(b)
		if !ok {
			return
		}
		next := e.After(run(1), start)
		if w := next.Work(); !(w >= minWork && w <= action.MaxCost) || next.Memory < 0 || !(next.Runs <= maxRuns) {
			t.Fatalf("%+v becomes %+v", e, next)
		}
	})
}

func BenchmarkLearn(b *testing.B) {
	book, _, _ := books()
	for b.Loop() {
		if err := book.Learn(kinds("a"), run(1), start); err != nil {
			b.Fatal(err)
		}
	}
}
