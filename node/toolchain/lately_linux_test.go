package toolchain

import (
	"testing"
	"time"
)

// lately has a prober whose cc is watched, and was looked at so long ago, be asked for it
// after the compiler was replaced, which the watch has not seen yet. It reports whether
// that was noticed.
func lately(t *testing.T, ago time.Duration, between func(b *bench)) bool {
	t.Helper()
	b := newBench(t)
	s := Spec{Spec: "cc:cc"}
	d := b.digest(s)
	b.turned() // what Run does when it begins, and when it has watched all
	b.entries[s].turn = b.turn
	if !b.Fresh(s, d) {
		t.Fatal("not fresh")
	}
	b.entries[s].looked = time.Now().Add(-ago)
	b.write("libexec/cc1", "x", 0o755)
	between(b)
	now, err := b.Lately(t.Context(), s, d)
	if err != nil {
		t.Fatal(err)
	}
	if then, err := b.Current(t.Context(), s, d); err != nil || then == d {
		t.Errorf("afterwards it is %s, %v: that of before the change", then, err)
	}
	return now != d
}

func TestLatelyGoesByALookOfAMomentAgo(t *testing.T) {
	// An hour ahead, so that no moment passes here however slow the machine is.
	if lately(t, -time.Hour, func(*bench) {}) {
		t.Error("it looked")
	}
}

func TestLatelySaysWhatIsThereAndNotWhatWasLikely(t *testing.T) {
	b := newBench(t)
	s := Spec{Spec: "cc:cc"}
	d := b.digest(s)
	b.turned()
	b.entries[s].turn, b.entries[s].looked = b.turn, time.Now().Add(time.Hour)
	if now, err := b.Lately(t.Context(), s, "another"); err != nil || now != d {
		t.Errorf("it is %s, %v, want %s", now, err, d)
	}
}

func TestLatelyLooksWhenTheLastLookIsOld(t *testing.T) {
	if !lately(t, moment, func(*bench) {}) {
		t.Error("it did not look")
	}
}

func TestLatelyLooksOnceTheWatchHasSeenSomething(t *testing.T) {
	if !lately(t, -time.Hour, func(b *bench) { b.turned() }) {
		t.Error("it did not look")
	}
}

func TestLatelyLooksWhereNothingIsWatched(t *testing.T) {
	if !lately(t, -time.Hour, func(b *bench) { b.unwatched() }) {
		t.Error("it did not look")
	}
}
