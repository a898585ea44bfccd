package invocations

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/node/event/told"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/history"
	"github.com/buildnet/buildnet/store/memory"
)

func newBook(kv *memory.KV) *Book {
	return New(Options{
		Self: "self", History: history.New(kv), Moved: func() (int64, int64) { return 0, 0 },
		Members: func() []peer.Member { return []peer.Member{{ID: "self", Name: "here", Self: true}} },
	})
}

// running runs a book for the time of f.
func running(t *testing.T, b *Book, f func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	f()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func said(invocation string) *repb.RequestMetadata {
	return &repb.RequestMetadata{
		ToolInvocationId: invocation, ToolDetails: &repb.ToolDetails{ToolName: "bazel", ToolVersion: "4.2.3"},
		ActionMnemonic: "CppCompile", TargetId: "//x:y",
	}
}

func act(n int) digest.Digest { return digest.Of(digest.SHA256, fmt.Appendf(nil, "action %d", n)) }

// result is what came of action n, on a worker, in a second.
func result(n int, worker string) *repb.ActionResult {
	return &repb.ActionResult{
		OutputFiles:       []*repb.OutputFile{{Path: fmt.Sprintf("out%d.d", n)}, {Path: fmt.Sprintf("out%d", n)}},
		ExecutionMetadata: &repb.ExecutedActionMetadata{Worker: worker, VirtualExecutionDuration: durationpb.New(time.Second)},
	}
}

func summaryOf(t *testing.T, r history.Record) (f event.BuildFinished) {
	t.Helper()
	if err := json.Unmarshal(r.Summary, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

// only returns the one record that there is.
func only(t *testing.T, b *Book) history.Record {
	t.Helper()
	all, err := b.List(0)
	if err != nil || len(all) != 1 {
		t.Fatalf("%d builds, %v: %+v", len(all), err, all)
	}
	r, err := b.Get(all[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func stepsOf(t *testing.T, r history.Record) (steps []event.StepFinished, started int) {
	t.Helper()
	for line := range strings.Lines(string(r.Events)) {
		e, err := event.Decode([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		switch e := e.(type) {
		case event.BuildStarted:
			started++
		case event.StepFinished:
			steps = append(steps, e)
		}
	}
	return steps, started
}

func TestAFullyCachedInvocationIsABuildOfCachedSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook(&memory.KV{})
		running(t, b, func() {
			for n := range 3 {
				b.Answered(act(n), said("one"), result(n, map[bool]string{true: "self", false: "other"}[n == 0]))
				time.Sleep(time.Second)
			}
			b.Answered(act(1), said("one"), result(1, "other")) // asked for again
			time.Sleep(2 * quietTime)
			r := only(t, b)
			f := summaryOf(t, r)
			if f.Steps != 3 || f.CachedLocal != 1 || f.CachedMesh != 2 || f.SavedMS != 3000 || !f.OK || f.Tier != event.Restore || r.Running || f.WallMS != 3000 {
				t.Errorf("%+v of %+v", f, r)
			}
			if r.Root != "bazel 4.2.3 one" || r.Client != "bazel 4.2.3" {
				t.Errorf("it is of %q, by %q", r.Root, r.Client)
			}
			steps, _ := stepsOf(t, r)
			if len(steps) != 3 || steps[1].Step != "CppCompile out1" || steps[1].Peer != "other" || steps[1].SavedMS != 1000 || steps[1].Asked.Target != "//x:y" ||
				steps[1].Asked.Mnemonic != "CppCompile" || steps[1].Asked.Action != act(1).String() {
				t.Errorf("%+v", steps)
			}
		})
	})
}

// An invocation stays one build: when it was quiet, when its node was stopped, and when
// that was killed.
func TestAnInvocationThatWasQuietGoesOnAsTheSameBuild(t *testing.T) {
	for name, quiet := range map[string]func(*testing.T, *memory.KV, *Book) *Book{
		"quiet":   func(_ *testing.T, _ *memory.KV, b *Book) *Book { time.Sleep(2 * quietTime); return b },
		"stopped": func(_ *testing.T, kv *memory.KV, _ *Book) *Book { return newBook(kv) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				kv := &memory.KV{}
				b := newBook(kv)
				first := func() {
					i := b.Enter(said("one"))
					a := &Ask{Action: act(7), Said: said("one"), Outputs: []string{"late"}}
					i.Plan(a)
					i.Undone(a) // its node stops
					i.Leave()
					b.Answered(act(1), said("one"), result(1, "self"))
				}
				second := func() {
					b.Answered(act(1), said("one"), result(1, "self"))
					b.Answered(act(7), said("one"), &repb.ActionResult{OutputFiles: []*repb.OutputFile{{Path: "late"}}})
					b.Answered(act(2), said("one"), result(2, "self"))
					if r := only(t, b); !r.Running || summaryOf(t, r).Steps != 3 {
						t.Errorf("while it goes on: %+v", r)
					}
				}
				if name == "quiet" {
					running(t, b, func() { first(); b = quiet(t, kv, b); second(); time.Sleep(2 * quietTime) })
				} else {
					running(t, b, first)
					b = quiet(t, kv, b)
					running(t, b, second)
				}
				r := only(t, b)
				steps, started := stepsOf(t, r)
				if f := summaryOf(t, r); f.Steps != 3 || f.CachedLocal != 2 || f.CachedMesh != 1 || !f.OK || started != 1 || len(steps) != 3 || r.Running {
					t.Errorf("%+v, started %d times: %+v", f, started, steps)
				}
				if as, err := b.Get("one"); err != nil || as.ID != r.ID || r.ID != IDOf("one") {
					t.Errorf("by the client's ID: %+v, %v", as, err)
				}
			})
		})
	}
}

func TestWhatWasToldOutlivesANodeThatIsKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv := &memory.KV{}
		b := newBook(kv)
		running(t, b, func() {
			i := b.Enter(said("one"))
			a := &Ask{Action: act(2), Said: said("one"), Outputs: []string{"out2"}}
			i.Known(act(1), said("one"), result(1, "self"))
			i.Plan(a)
			i.Undone(a)
			time.Sleep(saveEvery + quietTime/5)
			left := only(t, newBook(kv)) // as who comes after it finds it
			if f := summaryOf(t, left); f.Steps != 2 || f.CachedLocal != 1 || f.NotRun != 1 || f.OK || !f.Cancelled {
				t.Errorf("%+v", f)
			}
			i.Leave()
		})
	})
}

func TestWhoFollowsHearsAllOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook(&memory.KV{})
		running(t, b, func() {
			b.Answered(act(1), said("one"), result(1, "self"))
			id, runs := b.Running("one")
			if !runs || id != IDOf("one") {
				t.Fatalf("%s runs: %t", id, runs)
			}
			heard := make(chan event.Event, 10)
			over := make(chan error, 1)
			go func() { over <- b.Follow(t.Context(), id[:6], func(e event.Event) { heard <- e }) }()
			synctest.Wait()
			b.Answered(act(2), said("one"), result(2, "self"))
			b.Tell("one", event.LeaderElected{Build: id, Leader: "self", Epoch: 3})
			time.Sleep(2 * quietTime)
			if err := <-over; err != nil {
				t.Error(err)
			}
			close(heard)
			var kinds []string
			var last event.Event
			for e := range heard {
				kinds, last = append(kinds, e.Kind()), e
			}
			if got := strings.Join(kinds, " "); got != "build.started step.finished step.finished leader.elected build.finished" {
				t.Error(got)
			}
			if f, ok := last.(event.BuildFinished); !ok || f.CachedLocal != 2 || f.Leader != "self" || f.Epoch != 3 {
				t.Errorf("at last %+v", last)
			}
			if err := b.Follow(t.Context(), id, func(event.Event) {}); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("when it is over: %v", err)
			}
		})
	})
}

// Clients choose their IDs, and how many of them they have.
func TestManyInvocationsAreBounded(t *testing.T) {
	b := newBook(&memory.KV{})
	running(t, b, func() {
		for n := range 3 * maxOpen {
			b.Answered(act(n), said(fmt.Sprint("invocation", n)), result(n, "self"))
		}
		if n := len(b.open); n > maxOpen {
			t.Errorf("%d are in memory", n)
		}
		all, err := b.List(0)
		if err != nil || len(all) != 3*maxOpen {
			t.Errorf("%d builds, %v", len(all), err)
		}
		// None of those that are in use ends: others are told of together.
		var used []*Invocation
		for n := range maxOpen + 50 {
			used = append(used, b.Enter(said(fmt.Sprint("used", n))))
		}
		if n := len(b.open); n > maxOpen+1 {
			t.Errorf("%d are in memory, all of them in use", n)
		}
		if last := used[len(used)-1]; last.Key() != "" || last == used[0] {
			t.Errorf("the last is %q", last.Key())
		}
		for _, i := range used {
			i.Leave()
		}
	})
	if c := b.Counters(); c["client_steps_cached"] != 3*maxOpen || c["client_invocations"] != 3*maxOpen+maxOpen+1 {
		t.Errorf("%v", c)
	}
	if len(b.open) != 0 || len(b.ending) != 0 {
		t.Errorf("%d are open, %d end", len(b.open), len(b.ending))
	}
}

func TestWhatIsToldIsBoundedTogether(t *testing.T) {
	b := newBook(&memory.KV{})
	b.budget = told.NewBudget(64 << 10)
	running(t, b, func() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		const steps = 20_000
		i := b.Enter(said("one"))
		for n := range steps {
			i.Known(act(n), said("one"), result(n, "self"))
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if more := int64(after.HeapAlloc) - int64(before.HeapAlloc); more > 2<<20 {
			t.Errorf("%d steps take %d bytes", steps, more)
		}
		r := only(t, b)
		if f := summaryOf(t, r); f.Steps != steps || f.CachedLocal != steps || len(r.Events) > 80<<10 || !strings.Contains(string(r.Events), "more happened") {
			t.Errorf("%+v with %d bytes of events", f, len(r.Events))
		}
		i.Leave()
	})
	b.budget = told.NewBudget(64 << 10)
	running(t, b, func() { // gone on with: names that were forgotten are not given again
		i := b.Enter(said("one"))
		defer i.Leave()
		id := i.Plan(&Ask{Action: act(-1), Said: said("one"), Outputs: []string{"out19999"}})
		if id != "CppCompile out19999 #20001" {
			t.Errorf("it is called %q", id)
		}
	})
}

func TestNamesDoNothingToATerminal(t *testing.T) {
	m := said("id\x1b[2J")
	m.TargetId, m.ActionMnemonic, m.ToolDetails.ToolName = "", "\x1b]0;title\a", "ba\u202ezel\n"
	b := newBook(&memory.KV{})
	running(t, b, func() {
		b.Answered(act(1), m, &repb.ActionResult{
			OutputFiles:       []*repb.OutputFile{{Path: "a\x1b[31m" + strings.Repeat("y", 5000)}},
			ExecutionMetadata: &repb.ExecutedActionMetadata{Worker: strings.Repeat("w", 5000)},
		})
	})
	r := only(t, b)
	steps, _ := stepsOf(t, r)
	for _, text := range []string{r.Root, r.Client, steps[0].Step, steps[0].Peer, steps[0].Asked.Mnemonic} {
		if strings.ContainsAny(text, "\x1b\a\n\u202e") || len(text) > 2*maxName {
			t.Errorf("%q", text)
		}
	}
}

func TestAStepThatCameToNothingIsNotRunUnlessItIsAskedForAgain(t *testing.T) {
	b := newBook(&memory.KV{})
	running(t, b, func() {
		i := b.Enter(said("one"))
		defer i.Leave()
		for n := range 2 {
			a := &Ask{Action: act(n), Said: said("one"), Outputs: []string{fmt.Sprintf("out%d", n)}}
			i.Plan(a)
			i.Undone(a)
		}
		i.Known(act(1), said("one"), result(1, "self"))
		listed, err := b.List(0)
		if err != nil || len(listed) != 1 || !listed[0].Running {
			t.Fatalf("%+v, %v", listed, err)
		}
		if f := summaryOf(t, listed[0]); f.Steps != 2 || f.NotRun != 1 || f.CachedLocal != 1 {
			t.Errorf("%+v", f)
		}
	})
}

// Who comes back while the end of an invocation is written down waits for that.
func TestAnInvocationThatIsWrittenDownIsGoneOnWithAfterwards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook(&memory.KV{})
		running(t, b, func() {
			b.Answered(act(1), said("one"), result(1, "self"))
			b.mu.Lock()
			ending := b.open["one"]
			b.close(ending)
			b.mu.Unlock()
			done := make(chan struct{})
			go func() { defer close(done); b.Answered(act(2), said("one"), result(2, "self")) }()
			synctest.Wait()
			b.end(ending)
			<-done
			if f := summaryOf(t, only(t, b)); f.Steps != 2 {
				t.Errorf("%+v", f)
			}
		})
	})
}

func TestWhatIsWrittenDownLeavesRoomForOthers(t *testing.T) {
	b := newBook(&memory.KV{})
	b.budget = told.NewBudget(4 << 10)
	running(t, b, func() {
		for n := range 50 {
			b.Answered(act(n), said(fmt.Sprint(n)), result(n, "self"))
			b.look(func(*Invocation) bool { return true })
		}
		if r, err := b.Get("49"); err != nil || strings.Contains(string(r.Events), "more happened") {
			t.Errorf("%s, %v", r.Events, err)
		}
	})
}
