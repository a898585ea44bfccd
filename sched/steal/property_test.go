package steal

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// limit is within which every build of these tests ends, faults included.
const limit = 3 * time.Minute

func specs(t *rapid.T) spec {
	s := spec{
		seed: rapid.Uint64().Draw(t, "seed"), peers: rapid.IntRange(1, 6).Draw(t, "peers"),
		slots: rapid.IntRange(1, 3).Draw(t, "slots"), flaky: rapid.SampledFrom([]int{0, 0, 2, 10}).Draw(t, "flaky"),
		fails: map[int]bool{}, kills: map[int]bool{}, careless: map[int]bool{}, here: map[int]bool{}, special: map[int]bool{},
	}
	s.modes.KeepGoing = rapid.Bool().Draw(t, "keep going")
	s.modes.Jobs = rapid.SampledFrom([]int{0, 0, 1, 3}).Draw(t, "jobs")
	s.modes.Local = rapid.IntRange(0, 19).Draw(t, "local") == 0
	steps, open := rapid.IntRange(1, 30).Draw(t, "steps"), rapid.IntRange(0, 3).Draw(t, "open") == 0
	if open {
		s.modes.KeepGoing = true
		openSpec(t, &s, steps)
	}
	for i := range steps {
		var deps []int
		for on := range i {
			if !open && rapid.IntRange(0, 9).Draw(t, "dep") < 2 && len(deps) < 3 {
				deps = append(deps, on)
			}
		}
		s.deps = append(s.deps, deps)
		switch rapid.IntRange(0, 99).Draw(t, "kind") {
		case 1:
			s.fails[i] = true
		case 2, 3, 4, 5, 6, 7, 8, 9:
			s.careless[i] = true
		case 10, 11:
			s.here[i] = true
		case 12:
			s.kills[i] = true
		case 13, 14:
			s.special[i] = true
		}
	}
	for i := range s.peers {
		s.candidates = append(s.candidates, i)
	}
	s.candidates = rapid.Permutation(s.candidates).Draw(t, "candidates")
	return s
}

// openSpec has steps come over time, in bursts and after pauses.
func openSpec(t *rapid.T, s *spec, steps int) {
	s.drops = map[int]time.Duration{}
	at := time.Duration(0)
	for i := range steps {
		at += time.Duration(rapid.SampledFrom([]int{0, 0, 1, 30, 300, 1500}).Draw(t, "pause ms")) * time.Millisecond
		s.comes = append(s.comes, at)
		if rapid.IntRange(0, 9).Draw(t, "drop") == 0 {
			s.drops[i] = at + time.Duration(rapid.IntRange(0, 500).Draw(t, "after ms"))*time.Millisecond
		}
	}
	s.shut = at + time.Duration(rapid.IntRange(1, 3000).Draw(t, "shut ms"))*time.Millisecond
}

// faults kills, restarts and unlinks at drawn moments. The initiator is
// spared: a build without one is none.
func faults(t *rapid.T, w *world) {
	for range rapid.IntRange(0, 6).Draw(t, "faults") {
		at := time.Duration(rapid.IntRange(0, 6000).Draw(t, "at ms")) * time.Millisecond
		victim := w.nodes[w.ids[rapid.IntRange(0, len(w.ids)-1).Draw(t, "victim")]]
		switch rapid.IntRange(0, 4).Draw(t, "fault") {
		case 0:
			w.after(at, func() { w.killUnlessInitiator(victim) })
		case 1:
			w.after(at, func() {
				if l := w.leader(); l != nil {
					w.killUnlessInitiator(l.on)
				}
			})
		case 2:
			w.after(at, func() { w.killUnlessInitiator(victim) })
			w.after(at+w.between(0, 4*time.Second), func() { w.restart(victim) })
		case 3:
			w.after(at, func() {
				if l := w.leader(); l != nil && l.streams[victim.id] != nil {
					w.log("BREAK %s-%s", l.on.id, victim.id)
					l.streams[victim.id].breakOff()
				}
			})
		case 4:
			w.after(at, func() {
				if l := w.leader(); l != nil && len(l.leader.record.Standbys) > 0 {
					first := w.nodes[l.leader.record.Standbys[0]]
					w.killUnlessInitiator(l.on)
					w.killUnlessInitiator(first)
				}
			})
		}
	}
}

func (w *world) killUnlessInitiator(n *node) {
	if n != w.init {
		w.kill(n)
	}
}

func TestEveryBuildEndsAndKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, specs(t))
		faults(t, w)
		w.until(limit, func() bool { return w.ledger.over })
		w.ledger.verify()
		w.quiet()
	})
}

// quiet: nothing of a build that is over runs anywhere 2 s later.
func (w *world) quiet() {
	w.pass(2 * time.Second)
	for _, id := range w.ids {
		for _, j := range w.nodes[id].jobs {
			if j.runs && !j.cancelled {
				w.fatalf("a job still runs on %s", id)
			}
		}
	}
}

func TestEveryBuildEndsAlthoughTheMeshIsSplit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := specs(t)
		w := newWorld(t, s)
		w.ledger.parted = true
		faults(t, w)
		for range rapid.IntRange(1, 3).Draw(t, "splits") {
			at := time.Duration(rapid.IntRange(0, 5000).Draw(t, "split at ms")) * time.Millisecond
			lasts := time.Duration(rapid.IntRange(100, 6000).Draw(t, "lasts ms")) * time.Millisecond
			for i := 1; i < s.peers; i++ {
				if id := w.ids[i]; rapid.Bool().Draw(t, "apart") {
					w.after(at, func() { w.split(id) })
				}
			}
			w.after(at+lasts, w.heal)
		}
		w.until(limit, func() bool { return w.ledger.over })
		w.ledger.verify()
		w.quiet()
	})
}

func TestABuildWithoutItsInitiatorEndsWithinTwoSeconds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := specs(t)
		w := newWorld(t, s)
		w.pass(time.Duration(rapid.IntRange(0, 4000).Draw(t, "at ms")) * time.Millisecond)
		if w.ledger.over {
			return
		}
		w.kill(w.init)
		w.quiet()
	})
}

func TestACancelledBuildEndsEverywhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, specs(t))
		faults(t, w)
		w.pass(time.Duration(rapid.IntRange(0, 4000).Draw(t, "at ms")) * time.Millisecond)
		if w.ledger.over {
			return
		}
		w.init.doOrigin(w.init.origin.Cancel(w.now))
		w.until(time.Second, func() bool { return w.ledger.over })
		w.quiet()
	})
}
