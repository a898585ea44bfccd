package sched_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/registry"
	"github.com/buildnet/buildnet/sched/steal"
)

// answerTime is what an owner on the other side of a slow line takes to answer.
const answerTime = time.Second

// slow is a network on which questions to owners take their time.
type slow struct{ peer.Network }

func (n slow) Open(ctx context.Context, to peer.ID, protocol string) (peer.Stream, error) {
	s, err := n.Network.Open(ctx, to, protocol)
	if err != nil || protocol != registry.Protocol {
		return s, err
	}
	return slowStream{s}, nil
}

type slowStream struct{ peer.Stream }

func (s slowStream) Write(b []byte) (int, error) {
	time.Sleep(answerTime)
	return s.Stream.Write(b)
}

// inFarWorld runs a test on two nodes in virtual time that are so far apart.
func inFarWorld(t *testing.T, rtt time.Duration, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.rtt = rtt
		defer w.close()
		for i := range 2 {
			id, key := identity(t, byte(i+1))
			w.joinOver(id, key, slow{w.net.Join(id)})
		}
		test(t, w)
	})
}

// chain is a graph of n steps of a known length that wait for one another and run at
// the initiator.
func (m *machine) chain(n int) *action.Graph {
	m.w.t.Helper()
	nothing, err := action.EncodeBlob(&repb.Directory{})
	if err != nil {
		m.w.t.Fatal(err)
	}
	_ = (*shelf)(m).Put(m.w.t.Context(), nothing)
	var steps []action.Step
	for i := range n {
		name := fmt.Sprintf("c%02d", i)
		s := action.Step{
			ID: action.StepID(name), Outputs: []string{name}, Argv: []string{"cc", name}, Inputs: nothing.Digest, Timeout: time.Minute,
			Reach: action.InitiatorFirst, Sharing: action.Shared, Cost: runTime.Seconds(),
		}
		if i > 0 {
			s.Deps = []action.Dep{{Step: steps[i-1].ID}}
		}
		steps = append(steps, s)
	}
	g, err := action.NewGraph(steps)
	if err != nil {
		m.w.t.Fatal(err)
	}
	return g
}

func TestAChainWaitsForFarOwnersOnce(t *testing.T) {
	const steps = 6
	took := map[time.Duration]time.Duration{}
	for _, rtt := range []time.Duration{time.Millisecond, 20 * time.Millisecond} {
		inFarWorld(t, rtt, func(t *testing.T, w *world) {
			m, begun := w.at(0), time.Now()
			g := m.chain(steps)
			d := m.diary(g, 0)
			if err := <-m.start(t.Context(), "b", m.plan(g, steal.Modes{}), d); err != nil {
				t.Fatal(err)
			}
			d.complete()
			took[rtt] = d.at[steps-1].Sub(begun)
			for step, times := range w.executions() {
				if times != 1 {
					t.Errorf("%s ran %d times", step, times)
				}
			}
		})
	}
	near, far := took[time.Millisecond], took[20*time.Millisecond]
	if most := answerTime + (steps+2)*runTime; far > most || near < far+answerTime {
		t.Errorf("it takes %v, want %v at most; of neighbours, who are waited for, %v", far, most, near)
	}
}

// TestBuildsOfTheSameActionsMayRaceOverASlowLine, but each of them ends as it would.
func TestBuildsOfTheSameActionsMayRaceOverASlowLine(t *testing.T) {
	inFarWorld(t, 20*time.Millisecond, func(t *testing.T, w *world) {
		var ended []<-chan error
		var diaries []*diary
		for i := range 2 {
			m := w.at(i)
			g := m.chain(6)
			diaries = append(diaries, m.diary(g, 0))
			ended = append(ended, m.start(t.Context(), steal.BuildID(fmt.Sprint("build", i)), m.plan(g, steal.Modes{}), diaries[i]))
		}
		for i, c := range ended {
			if err := <-c; err != nil {
				t.Fatal(err)
			}
			diaries[i].complete()
		}
		for step, times := range w.executions() {
			if times > 2 {
				t.Errorf("%s ran %d times", step, times)
			}
		}
		// Nothing is claimed any more: a third build has what the first two made.
		before := len(w.runs)
		m := w.at(1)
		g := m.chain(6)
		d := m.diary(g, 0)
		if err := <-m.start(t.Context(), "third", m.plan(g, steal.Modes{}), d); err != nil {
			t.Fatal(err)
		}
		d.complete()
		if len(w.runs) != before {
			t.Errorf("a third build executes %d steps", len(w.runs)-before)
		}
	})
}
