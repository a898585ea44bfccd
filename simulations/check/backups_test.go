package check

import (
	"testing"

	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations/trace"
)

// backed is step 0 of build 0 on node 2, and on node 3 as well.
func backed() stream {
	return stream{}.given(1, 1, 1, 0, 2).run(2, trace.RunBegan, 2, 0).
		given(1000, 1, 1, 0, 3).logged(1000, trace.OpBackup, 9, 0, 3, 0).run(1010, trace.RunBegan, 3, 0)
}

func TestBackups(t *testing.T) {
	few := stream{}
	for step := range 3 {
		few = few.given(1, 1, 1, step, 2).given(2, 1, 1, step, 3).logged(2, trace.OpBackup, int64(step+1), step, 3, 0)
	}
	try(t, func() Rule { return NewBackups() }, &mesh{setting: plain()},
		trial{"one", backed(), ""},
		trial{"of nothing", stream{}.given(1, 1, 1, 0, 3).logged(1, trace.OpBackup, 9, 0, 3, 0), "nobody else had it"},
		trial{"of what was taken back", stream{}.given(1, 1, 1, 0, 2).
			add(5, trace.Revoked, func(e *trace.Event) { e.Peer, e.Step = 2, 0 }).
			given(9, 1, 1, 0, 3).logged(9, trace.OpBackup, 9, 0, 3, 0), "nobody else had it"},
		trial{"a second one", backed().given(2000, 1, 1, 0, 0).logged(2000, trace.OpBackup, 10, 0, 0, 0), "which node 3 was already"},
		trial{"one more of who runs it", backed().given(2000, 1, 1, 0, 3).logged(2000, trace.OpBackup, 10, 0, 3, 0), "which node 3 was already"},
		trial{"one more of who has not begun", backed()[:4].given(2000, 1, 1, 0, 3).logged(2000, trace.OpBackup, 10, 0, 3, 0), ""},
		trial{"too many", few, "one of 3 backups on 8 slots"},
		trial{"one after the other", few[:6].logged(3, trace.OpDone, 7, 0, 2, 0).
			given(4, 1, 1, 2, 2).given(4, 1, 1, 2, 3).logged(4, trace.OpBackup, 8, 2, 3, 0), ""},
	)
}

func TestTwiceExcusesWhatIsDeclared(t *testing.T) {
	try(t, func() Rule { return NewTwice() }, &mesh{setting: plain()},
		trial{"declared", backed(), ""},
		trial{"another is declared", stream{}.given(1, 1, 1, 0, 2).run(2, trace.RunBegan, 2, 0).
			given(1000, 1, 1, 0, 3).logged(1000, trace.OpBackup, 9, 1, 3, 0).run(1010, trace.RunBegan, 3, 0), "is executed"},
	)
}

func TestTwiceExcusesNoThirdWhileTheBackupHasIt(t *testing.T) {
	left := backed().add(1020, trace.Revoked, func(e *trace.Event) { e.Peer, e.Step = 2, 0 })
	third := func(s stream) stream { return s.given(2000, 1, 1, 0, 0).run(2010, trace.RunBegan, 0, 0) }
	s := plain()
	s.Flaky = 0.1
	try(t, func() Rule { return NewTwice() }, &mesh{setting: s},
		trial{"a third", third(left), "and was on node 3"},
		trial{"the backup was lost", third(left.logged(1500, trace.OpGone, 10, trace.None, 3, 0)), ""},
	)
}

func TestWaste(t *testing.T) {
	done := func(s stream, cut int) stream {
		return s.run(cut, trace.RunCut, 3, 0).over(9000, 0, int64(steal.Completed))
	}
	ended := backed().run(3000, trace.RunEnded, 2, 0)
	try(t, func() Rule { return NewWaste() }, &mesh{setting: plain()},
		trial{"little", done(ended, 1200), ""},
		trial{"much", done(ended, 3000), "wasted 1.990 BPU-seconds, beside work of 2.998"},
		trial{"both ended", ended.run(3000, trace.RunEnded, 3, 0).over(9000, 0, int64(steal.Completed)), "wasted 1.990"},
		trial{"of no backup", done(stream{}.run(1, trace.RunBegan, 3, 0), 5000), ""},
	)
	s := plain()
	s.Flaky = 0.1
	try(t, func() Rule { return NewWaste() }, &mesh{setting: s}, trial{"where something goes wrong", done(ended, 3000), ""})
}

func TestModes(t *testing.T) {
	mode := func(s stream, m steal.Mode) stream {
		return s.logged(500, trace.OpMode, 8, trace.None, trace.None, int(m))
	}
	try(t, func() Rule { return NewModes() }, &mesh{setting: plain()},
		trial{"whole", backed(), ""},
		trial{"half", append(mode(nil, steal.Conservative), backed()...), "the build is conservative"},
		trial{"whole again", append(mode(mode(nil, steal.Conservative), steal.Whole), backed()...), ""},
	)
}
