package sched

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/buildnet/buildnet/sched/steal"
)

// newQueue is a link that nobody writes from.
func newQueue(t *testing.T) *link {
	t.Helper()
	leader := newSigner(t, 2).id
	return newLink(nil, nil, leader, envelope{build: "b", epoch: steal.Epoch{Number: 1, Leader: leader}})
}

func (l *link) put(t *testing.T, msgs ...steal.Message) {
	t.Helper()
	for _, m := range msgs {
		if err := l.send(m); err != nil {
			t.Fatal(err)
		}
	}
}

func started(steps ...steal.Step) []steal.Op {
	var ops []steal.Op
	for _, s := range steps {
		ops = append(ops, steal.Op{Kind: steal.OpStarted, Step: s})
	}
	return ops
}

func TestWhatSaysHowFarTheLogIsIsSaidOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newQueue(t)
		l.put(t,
			steal.Append{First: 1, Ops: started(0, 1), Commit: 0},
			steal.Append{First: 3, Ops: started(2), Commit: 1},
			steal.Beat{Commit: 2},
			steal.Append{First: 5, Ops: started(4), Commit: 2}, // after a gap
			steal.Recall{Step: 1},
			steal.Beat{Commit: 3}, steal.Beat{Commit: 4},
			steal.Ack{Index: 5}, steal.Ack{Index: 7},
		)
		want := []steal.Message{
			steal.Append{First: 1, Ops: started(0, 1, 2), Commit: 2},
			steal.Append{First: 5, Ops: started(4), Commit: 2},
			steal.Recall{Step: 1}, steal.Beat{Commit: 4}, steal.Ack{Index: 7},
		}
		if len(l.queue) != len(want) {
			t.Fatalf("%d messages, want %d", len(l.queue), len(want))
		}
		for i, m := range l.queue {
			got, err := newDecoder().decode(m)
			if err != nil {
				t.Fatal(err)
			}
			if a, ok := got.msg.(steal.Append); ok {
				w, isAppend := want[i].(steal.Append)
				if !isAppend || a.First != w.First || a.Commit != w.Commit || len(a.Ops) != len(w.Ops) {
					t.Errorf("message %d is %+v, want %+v", i, a, want[i])
				}
			} else if got.msg != want[i] {
				t.Errorf("message %d is %+v, want %+v", i, got.msg, want[i])
			}
		}
		l.take()
	})
}

func TestWhatNobodyWaitsForWaitsForOthers(t *testing.T) {
	for _, tc := range []struct {
		msgs []steal.Message
		want time.Duration
	}{
		{[]steal.Message{steal.Started{Step: 1}}, patience},
		{[]steal.Message{steal.Started{Step: 1}, steal.Secured{Step: 2}}, gatherTime},
		{[]steal.Message{steal.Beat{}, steal.Started{Step: 1}}, gatherTime},
		{[]steal.Message{steal.Started{Step: 1}, steal.Recall{Step: 2}}, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			l, begun := newQueue(t), time.Now()
			l.put(t, tc.msgs...)
			<-l.wake
			if waited := time.Since(begun); waited != tc.want {
				t.Errorf("%+v wait %v, want %v", tc.msgs, waited, tc.want)
			}
			if batch, _, _ := l.take(); len(batch) != len(tc.msgs) {
				t.Errorf("%d messages, want %d", len(batch), len(tc.msgs))
			}
			<-time.After(patience)
			if len(l.wake) > 0 {
				t.Error("the writer is woken for nothing")
			}
		})
	}
}

func TestWhatIsSaidOfAnOpenBuildWaitsBehindManyFramesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leader := newSigner(t, 2).id
		l := newLink(nil, nil, leader, envelope{"b", steal.Epoch{Number: 1, Leader: leader}, steal.Hello{Open: true}})
		begun := time.Now()
		for i := range openFrames + 1 {
			l.put(t, steal.Ack{Index: uint64(i) + 1})
			<-l.wake
			l.take()
		}
		if waited := time.Since(begun); waited > 0 {
			t.Errorf("a few frames waited %v", waited)
		}
		for i := range 6 {
			for range i * 100 { // what presses goes before it, and is no reason to wait longer
				l.put(t, steal.Recall{Step: 2})
				<-l.wake
				l.take()
			}
			begun = time.Now()
			l.put(t, steal.Ack{Index: 9})
			<-l.wake
			if waited := time.Since(begun); waited != openGather {
				t.Errorf("the next one waited %v, want %v", waited, openGather)
			}
			l.take()
		}
	})
}
