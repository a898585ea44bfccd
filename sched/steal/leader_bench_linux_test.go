package steal

import (
	"container/heap"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store/digest"
)

// BenchmarkLeaderOfAGraph is what a step costs a leader's machine alone, in CPU
// time: builds of 10,000 steps from the first call to the end, on crews of
// several sizes, without streams, encoding and disks. What the crew is made of
// here is in it. Steps take 10 ms on 8 members, and longer on more, so that there
// are as many a second.
func BenchmarkLeaderOfAGraph(b *testing.B) {
	const steps = 10_000
	graphs := map[string]func(n int) []action.Step{"wide": wideSteps, "layers": layeredSteps}
	for _, c := range []struct {
		workers int
		run     time.Duration
	}{{8, 10 * time.Millisecond}, {64, 128 * time.Millisecond}, {500, time.Second}} {
		for _, name := range []string{"wide", "layers"} {
			b.Run(fmt.Sprintf("%s/%d", name, c.workers), func(b *testing.B) {
				spent, calls := time.Duration(0), 0
				for range b.N {
					s := newRehearsal(b, graphs[name](steps), c.workers, c.run)
					began := cpu(b)
					s.play()
					spent += cpu(b) - began
					calls += s.calls
				}
				per := float64(b.N * steps)
				b.ReportMetric(float64(spent.Nanoseconds())/1e3/per, "µs/step")
				b.ReportMetric(float64(calls)/per, "calls/step")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// cpu is what this process has used: time on a wall is no measure where others
// use the machine.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func wideSteps(n int) []action.Step {
	return benchSteps(n, func(int) []int { return nil })
}

// layeredSteps wait for three of the 500 before, so that what a crew of 500 has
// to do is scarce.
func layeredSteps(n int) []action.Step {
	const width = 500
	return benchSteps(n, func(i int) []int {
		if i < width {
			return nil
		}
		at, base := i%width, i/width*width-width
		return []int{base + at, base + (at+1)%width, base + (at*7+3)%width}
	})
}

func benchSteps(n int, deps func(i int) []int) []action.Step {
	steps := make([]action.Step, n)
	for i := range steps {
		id := func(i int) action.StepID { return action.StepID(fmt.Sprintf("p%03d:s%05d", i/20, i)) }
		steps[i] = action.Step{
			ID: id(i), Package: fmt.Sprintf("p%03d", i/20), Argv: []string{"cc"}, Inputs: digestOf("in"), Timeout: time.Hour,
			Outputs: []string{fmt.Sprintf("o%d", i)}, Reach: action.Anywhere, Sharing: action.Shared, Cost: 1 + float64(i%7)/7,
		}
		seen := map[int]bool{}
		for _, on := range deps(i) {
			if !seen[on] {
				seen[on] = true
				steps[i].Deps = append(steps[i].Deps, action.Dep{Step: id(on)})
			}
		}
	}
	return steps
}

// rehearsal is a Leader, and a crew that does what it says.
type rehearsal struct {
	b       *testing.B
	l       *Leader
	now     time.Time
	queue   events
	seq     int
	run     time.Duration
	workers map[peer.ID]*actor
	calls   int
	over    bool
}

// actor is a member of the crew, of four slots.
type actor struct {
	id      peer.ID
	speed   float64
	waiting []Assign
	running int
	seen    uint64
	acked   uint64
	told    time.Time
}

const actorSlots = 4

func newRehearsal(b *testing.B, steps []action.Step, workers int, run time.Duration) *rehearsal {
	g, err := action.NewGraph(steps)
	if err != nil {
		b.Fatal(err)
	}
	s := &rehearsal{b: b, now: start, run: run, workers: map[peer.ID]*actor{}}
	var members []peer.Member
	var ids []peer.ID
	for i := range workers {
		id := peer.ID(fmt.Sprintf("peer%03d", i))
		ids = append(ids, id)
		members = append(members, peer.Member{ID: id, RTT: time.Millisecond})
		s.workers[id] = &actor{id: id, speed: float64(int(1) << (i % 4))}
	}
	s.l, err = NewLeader(LeaderOptions{
		Self: "peer001", Initiator: "peer000", Epoch: Epoch{Number: 1, Leader: "peer001"},
		Plan: &Plan{Graph: g, Candidates: ids}, Members: members,
	})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

func (s *rehearsal) later(d time.Duration, do func()) {
	s.seq++
	heap.Push(&s.queue, event{s.now.Add(d), s.seq, do})
}

func (s *rehearsal) play() {
	s.tick()
	for !s.over && len(s.queue) > 0 {
		e := heap.Pop(&s.queue).(event)
		s.now = e.at
		e.do()
	}
	if !s.l.record.Ended {
		s.b.Fatal("the build did not end")
	}
}

func (s *rehearsal) tick() {
	if s.over {
		return
	}
	s.later(BeatEvery, s.tick)
	s.call(func() Output { return s.l.Tick(s.now) })
}

func (s *rehearsal) call(of func() Output) {
	out := of()
	s.calls++
	for _, d := range out.Dials {
		s.later(0, func() { s.joins(s.workers[d.To]) })
	}
	for _, m := range out.Sends {
		s.takes(s.workers[m.To], m.Msg)
	}
	for _, r := range out.Resolves {
		a := digestOf(fmt.Sprint(r.Step))
		s.later(time.Millisecond, func() {
			s.call(func() Output { return s.l.Resolved(s.now, Resolved{Step: r.Step, Attempt: r.Attempt, Action: a}) })
		})
	}
	s.over = s.over || out.Over
}

func (s *rehearsal) says(w *actor, msg Message) {
	w.told = s.now
	s.call(func() Output { return s.l.Receive(s.now, w.id, msg) })
}

func (s *rehearsal) joins(w *actor) {
	s.call(func() Output { return s.l.Opened(s.now, w.id) })
	s.says(w, Join{Slots: actorSlots, BPU: w.speed})
	if w.id == "peer000" {
		s.says(w, Follow{})
	}
	s.wants(w)
	s.beats(w)
}

func (s *rehearsal) wants(w *actor) {
	s.says(w, Want{Seen: w.seen, Free: max(0, 2*actorSlots-len(w.waiting)-w.running)})
}

func (s *rehearsal) beats(w *actor) {
	if s.over {
		return
	}
	s.later(BeatEvery, func() { s.beats(w) })
	if s.now.Sub(w.told) >= BeatEvery {
		s.says(w, Beat{})
	}
}

func (s *rehearsal) takes(w *actor, msg Message) {
	switch msg := msg.(type) {
	case Assign:
		w.seen++
		w.waiting = append(w.waiting, msg)
		s.later(time.Millisecond, func() { s.serve(w) })
	case Append:
		w.acked = msg.First + uint64(len(msg.Ops)) - 1
		s.later(time.Millisecond, func() { s.keeps(w, msg) })
	}
}

func (s *rehearsal) keeps(w *actor, msg Append) {
	if s.over {
		return
	}
	s.says(w, Ack{Index: msg.First + uint64(len(msg.Ops)) - 1})
	for i := range msg.Ops {
		if op := &msg.Ops[i]; op.Kind == OpDone && w.id == "peer000" {
			s.says(w, Secured{Step: op.Step, Action: op.Done.Entry.Action})
		}
	}
}

func (s *rehearsal) serve(w *actor) {
	for w.running < actorSlots && len(w.waiting) > 0 {
		a := w.waiting[0]
		w.waiting = w.waiting[1:]
		w.running++
		s.says(w, Started{Step: a.Step})
		took := time.Duration(float64(s.run) / w.speed * 2.7 * s.l.deps.cost[a.Step])
		s.later(took, func() {
			w.running--
			e := action.Entry{Action: a.Action, Executor: w.id, Result: action.Result{Outputs: []action.Output{{
				Path: fmt.Sprintf("o%d", a.Step), Kind: action.File, Digest: sized(a.Action),
			}}}}
			s.says(w, Report{Step: a.Step, Action: a.Action, Entry: &e, Timings: Timings{Run: took}})
			s.wants(w)
			s.serve(w)
		})
	}
}

func sized(d digest.Digest) digest.Digest {
	hash := d.Hash()
	of, err := digest.New(digest.BLAKE3, hash[:], 30_000)
	if err != nil {
		panic(err)
	}
	return of
}
