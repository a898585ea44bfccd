package yield

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var start = time.Unix(1_000_000, 0)

var all = Means{Lower: true, Stop: true}

// watch gives a machine the same reading for a time, and returns the last offer
// and how long it took until one was as wanted.
func watch(m *Machine, from time.Time, lasts time.Duration, r Reading, want func(Offer) bool) (last Offer, after time.Duration) {
	after = -1
	for d := Every; d <= lasts; d += Every {
		last = m.Observe(from.Add(d), r)
		if after < 0 && want(last) {
			after = d
		}
	}
	return last, after
}

func TestOthersYieldWithinTwoSecondsAndComeBack(t *testing.T) {
	m := New(8, all, Rules{Share: 1, Yield: true})
	quiet := Reading{Use: 0.03}
	if o, _ := watch(m, start, 10*time.Second, quiet, func(Offer) bool { return true }); o.Slots != 8 || o.Portion != 1 || o.Lowest {
		t.Errorf("nobody is there: %+v", o)
	}
	o, after := watch(m, start.Add(10*time.Second), 4*time.Second, Reading{Use: 0.6}, func(o Offer) bool { return o.Slots == 3 })
	if after < 0 || after > 2*time.Second || o.Text() != "3 of 8 slots: the owner uses 60 % of this machine" || !o.Lowest || o.Held {
		t.Errorf("after %v %q: %+v", after, o.Text(), o)
	}
	o, after = watch(m, start.Add(14*time.Second), 4*time.Second, Reading{Use: 1}, func(o Offer) bool { return o.Slots == 0 })
	if after < 0 || after > 2*time.Second || o.Portion != least || o.Held || o.Release {
		t.Errorf("after %v: %+v", after, o)
	}
	o, after = watch(m, start.Add(18*time.Second), 6*time.Second, quiet, func(o Offer) bool { return o.Slots == 8 })
	if after < calm || after > 2*calm || o.Portion != 1 || o.Lowest {
		t.Errorf("back after %v: %+v", after, o)
	}
}

func TestASingleMomentIsNobody(t *testing.T) {
	m := New(4, all, Rules{Share: 1, Yield: true})
	m.Observe(start, Reading{})
	if o := m.Observe(start.Add(Every), Reading{Use: 0.35}); o.Slots != 4 {
		t.Errorf("%+v", o)
	}
}

func TestWorkOnBatteryStandsStillAndGoesBack(t *testing.T) {
	m := New(2, all, Rules{Share: 1, Yield: true})
	o := m.Observe(start, Reading{Battery: true})
	if o.Slots != 0 || !o.Held || o.Release || o.Why != OnBattery {
		t.Errorf("at once: %+v", o)
	}
	o, after := watch(m, start, 2*patience, Reading{Battery: true}, func(o Offer) bool { return o.Release })
	if after != patience || o.Held || !o.Release {
		t.Errorf("after %v: %+v", after, o)
	}
	o = m.Observe(start.Add(2*patience+Every), Reading{})
	if o.Slots != 2 || o.Held || o.Release {
		t.Errorf("on the mains: %+v", o)
	}
}

func TestWhatCannotBeLoweredStandsStillAndWhatCannotBeStoppedGoesBack(t *testing.T) {
	use := Reading{Use: 1}
	for name, c := range map[string]struct {
		means         Means
		held, release bool
	}{
		"lowered": {Means{Lower: true, Stop: true}, false, false},
		"stopped": {Means{Stop: true}, true, false},
		"neither": {Means{}, false, true},
	} {
		o := New(1, c.means, Rules{Share: 1, Yield: true}).Observe(start, use)
		if o.Held != c.held || o.Release != c.release || o.Slots != 0 {
			t.Errorf("%s: %+v", name, o)
		}
	}
}

func TestShareIsOfSlotsAndOfProcessors(t *testing.T) {
	for _, c := range []struct {
		slots int
		share float64
		want  int
	}{{8, 0.5, 4}, {8, 0.51, 5}, {3, 1.0 / 3, 1}, {1, 0.01, 1}, {2, 1, 2}} {
		m := New(c.slots, all, Rules{Share: 1})
		if o := m.Set(start, Rules{Share: c.share}); o.Slots != c.want || o.Portion != c.share {
			t.Errorf("%v of %d: %+v", c.share, c.slots, o)
		}
	}
}

func TestWhoDoesNotYieldIsNotSeen(t *testing.T) {
	m := New(4, all, Rules{Share: 1, Yield: true})
	watch(m, start, 3*time.Second, Reading{Use: 1, Battery: true}, func(Offer) bool { return true })
	if o := m.Set(start.Add(3*time.Second), Rules{Share: 0.5}); o.Slots != 2 || o.Held || o.Lowest {
		t.Errorf("%+v", o)
	}
}

func TestASleepIsNoUse(t *testing.T) {
	m := New(4, all, Rules{Share: 1, Yield: true})
	watch(m, start, 3*time.Second, Reading{Use: 1}, func(Offer) bool { return true })
	if o := m.Observe(start.Add(time.Hour), Reading{}); o.Slots != 4 {
		t.Errorf("%+v", o)
	}
}

// Whatever is read and set, an offer is one that can be kept, and more use of
// the owner's never gives others more.
func TestOffers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		slots := rapid.IntRange(1, 64).Draw(t, "slots")
		means := Means{Lower: rapid.Bool().Draw(t, "lower"), Stop: rapid.Bool().Draw(t, "stop")}
		rules := func() Rules {
			return Rules{Share: float64(rapid.IntRange(1, 100).Draw(t, "share")) / 100, Yield: rapid.Bool().Draw(t, "yield")}
		}
		r := rules()
		m, more := New(slots, means, r), New(slots, means, r)
		now := start
		var heldSince time.Time
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(1, 1500).Draw(t, "ms")) * time.Millisecond)
			var o, om Offer
			if rapid.IntRange(0, 9).Draw(t, "what") == 0 {
				r = rules()
				o, om = m.Set(now, r), more.Set(now, r)
			} else {
				use := rapid.OneOf(rapid.Float64Range(-1, 2), rapid.Just(math.NaN()), rapid.Just(1.0), rapid.Just(0.0)).Draw(t, "use")
				battery := rapid.IntRange(0, 4).Draw(t, "battery") == 0
				o = m.Observe(now, Reading{Use: use, Battery: battery})
				om = more.Observe(now, Reading{Use: max(use, rapid.Float64Range(0, 1).Draw(t, "more")), Battery: battery})
			}
			check(t, o, slots, r, means)
			if !math.IsNaN(m.before) && (om.Slots > o.Slots || om.Portion > o.Portion) {
				t.Fatalf("more use gives more: %+v than %+v", om, o)
			}
			switch {
			case !o.Held:
				heldSince = time.Time{}
			case heldSince.IsZero():
				heldSince = now
			case now.Sub(heldSince) >= patience:
				t.Fatalf("held since %v: %+v", now.Sub(heldSince), o)
			}
		}
	})
}

func check(t *rapid.T, o Offer, slots int, r Rules, means Means) {
	switch {
	case o.Of != slots || o.Slots < 0 || o.Slots > slots || float64(o.Slots) >= float64(slots)*r.Share+1:
		t.Fatalf("%d slots, %+v: %+v", slots, r, o)
	case !(o.Portion > 0) || o.Portion > r.Share && o.Portion > least:
		t.Fatalf("%+v: portion of %+v", r, o)
	case !r.Yield && (o.Why != Shared || o.Held || o.Release || o.Lowest):
		t.Fatalf("it yields: %+v", o)
	case (o.Held || o.Release) && o.Slots > 0:
		t.Fatalf("it holds and takes more: %+v", o)
	case o.Held && (o.Release || !means.Stop):
		t.Fatalf("it cannot hold: %+v", o)
	case o.Text() == "":
		t.Fatal("it says nothing")
	}
}
