package check

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/trace"
	"github.com/buildnet/buildnet/simulations/workload"
)

// mesh is a World that answers as a test says.
type mesh struct {
	setting *setting.Setting
	apart   bool
	lacks   uint64 // an output that nobody has
}

func (m *mesh) Setting() *setting.Setting  { return m.setting }
func (m *mesh) Connected(int, int) bool    { return !m.apart }
func (m *mesh) Holds(_ int, o uint64) bool { return o != m.lacks }

// plain is four nodes, and one build of node 0 of a chain of three.
func plain() *setting.Setting {
	s := &setting.Setting{Limit: time.Minute}
	for range 4 {
		s.Nodes = append(s.Nodes, setting.Node{BPU: 1, Slots: 2})
	}
	s.Builds = []setting.Build{{Graph: workload.Chain(3)}}
	return s
}

// stream is events written down by hand; at is in milliseconds.
type stream []trace.Event

func (s stream) add(at int, k trace.Kind, set func(e *trace.Event)) stream {
	e := trace.Blank(time.Duration(at)*time.Millisecond, k)
	e.Build = 0
	set(&e)
	return append(slices.Clip(s), e)
}

func on(node int) func(e *trace.Event) { return func(e *trace.Event) { e.Node = node } }

// led are events of leaders: node leads in the epoch of that number.
func (s stream) led(at int, k trace.Kind, node int, number uint64) stream {
	return s.add(at, k, func(e *trace.Event) { e.Node, e.Epoch = node, trace.Epoch{Number: number, Leader: node} })
}

// given is an assignment by the leader of an epoch.
func (s stream) given(at, leader int, number uint64, step, to int) stream {
	return s.add(at, trace.Assigned, func(e *trace.Event) {
		e.Node, e.Peer, e.Step, e.Digest, e.Epoch = leader, to, step, 7, trace.Epoch{Number: number, Leader: leader}
	})
}

func (s stream) run(at int, k trace.Kind, node, step int) stream {
	return s.add(at, k, func(e *trace.Event) { e.Node, e.Step, e.Digest = node, step, 7 })
}

func (s stream) between(at int, k trace.Kind, node, peer int) stream {
	return s.add(at, k, func(e *trace.Event) { e.Node, e.Peer = node, peer })
}

// logged is an op of the log of node 1 in epoch 1.
func (s stream) logged(at int, op string, index int64, step, peer, digest int) stream {
	return s.add(at, trace.Logged, func(e *trace.Event) {
		e.Node, e.Text, e.Value, e.Step, e.Peer, e.Digest = 1, op, index, step, peer, uint64(digest)
		e.Epoch = trace.Epoch{Number: 1, Leader: 1}
	})
}

// kept says that a node keeps the log of node 1 in epoch 1.
func (s stream) kept(at, node int, upTo int64) stream {
	return s.add(at, trace.Kept, func(e *trace.Event) {
		e.Node, e.Peer, e.Value, e.Epoch = node, 1, upTo, trace.Epoch{Number: 1, Leader: 1}
	})
}

func (s stream) committed(at int, upTo int64) stream {
	return s.add(at, trace.Committed, func(e *trace.Event) {
		e.Node, e.Value, e.Epoch = 1, upTo, trace.Epoch{Number: 1, Leader: 1}
	})
}

func (s stream) announced(at, step int, index int64, digest uint64) stream {
	return s.add(at, trace.Announced, func(e *trace.Event) {
		e.Node, e.Peer, e.Step, e.Value, e.Digest, e.Epoch = 0, 2, step, index, digest, trace.Epoch{Number: 1, Leader: 1}
	})
}

func (s stream) over(at, build int, reason int64) stream {
	return s.add(at, trace.Over, func(e *trace.Event) { e.Build, e.Node, e.Value = build, 0, reason })
}

func (s stream) began(at, build int) stream {
	return s.add(at, trace.Began, func(e *trace.Event) { e.Build, e.Node = build, 0 })
}

// judged is the first thing that a rule says of a stream.
func judged(r Rule, w World, s stream) string {
	for i := range s {
		if text := r.Observe(w, &s[i]); text != "" {
			return text
		}
	}
	return r.Settle(w)
}

// trial is a stream before a rule. broken is a part of what the rule says; ""
// is a stream that keeps it.
type trial struct {
	name   string
	stream stream
	broken string
}

func try(t *testing.T, rule func() Rule, w World, trials ...trial) {
	t.Helper()
	for _, c := range trials {
		text := judged(rule(), w, c.stream)
		if (c.broken == "") != (text == "") || !strings.Contains(text, c.broken) {
			t.Errorf("%s: %q, want %q", c.name, text, c.broken)
		}
	}
}

func TestNamesAreUniqueAndPlain(t *testing.T) {
	seen := map[string]bool{}
	for _, n := range Names() {
		if seen[n] || n == "" || n != strings.ToLower(n) {
			t.Errorf("%q", n)
		}
		seen[n] = true
	}
}
