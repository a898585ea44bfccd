// Package yield decides how much of this machine its owner leaves to the builds
// of others, and sees to it. Machine is pure; Driver gives it readings and does
// what it says. Start reading at Machine.Observe.
package yield

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Limits of the decision. Shares are of the whole machine.
const (
	// Every is how often the machine is looked at: four times in the 2 s within
	// which others are to be out of the owner's way.
	Every = 500 * time.Millisecond
	// busy is the owner's share from which on others yield, idle that below which
	// they do no more: what every machine does by itself lies below.
	busy = 0.20
	idle = 0.10
	// calm is how long the owner's use has to be lower before it counts as lower:
	// people pause to think, and builds of theirs between two compilations.
	calm = 3 * time.Second
	// patience is how long the work of others may stand still before it goes back
	// to whom it came from: longer than a look at the mains plug takes.
	patience = 10 * time.Second
	// least of the machine is left to what runs already, so that it comes to an
	// end.
	least = 0.05
	// stalled is how long a reading may have been due: after more, such as a
	// machine's sleep, it says nothing of the time before.
	stalled = 10 * Every
)

// Rules are what the owner has set.
type Rules struct {
	// Share is what others may use of the machine at most, in (0, 1].
	Share float64
	// Yield gives way to the owner's own use, and on battery.
	Yield bool
}

// Valid reports whether there can be such rules.
func (r Rules) Valid() bool { return r.Share > 0 && r.Share <= 1 }

// Means are what can be done to what runs already.
type Means struct {
	// Lower says that it yields to the owner by a weight or a quota, Stop that it
	// can be held.
	Lower, Stop bool
}

// Why is why others get what they get.
type Why uint8

// The reasons.
const (
	// Shared is the owner's share, and nothing else.
	Shared Why = iota + 1
	// InUse is the owner's own use.
	InUse
	// OnBattery is the battery.
	OnBattery
)

// Offer is what others may have of this machine now.
type Offer struct {
	// Slots of Of are for what others have run.
	Slots, Of int
	// Portion bounds what runs already, as a share of the machine's processors; 1
	// does not.
	Portion float64
	// Lowest says that what runs counts least against the owner's processes, Held
	// that it stands still, Release that it has gone back.
	Lowest, Held, Release bool
	Why                   Why
	// Use is the owner's share of the machine, as far as it counts.
	Use float64
}

// Text says what others get and why, for people.
func (o Offer) Text() string {
	text := fmt.Sprintf("%d of %d slots", o.Slots, o.Of)
	switch {
	case o.Why == InUse:
		text += fmt.Sprintf(": the owner uses %.0f %% of this machine", o.Use*100)
	case o.Why == OnBattery:
		text += ": this machine runs on its battery"
	case o.Slots < o.Of:
		text += ": the owner's share"
	}
	switch {
	case o.Release:
		text += "; what ran for others went back"
	case o.Held:
		text += "; what runs for others stands still"
	}
	return text
}

// Reading is what was seen of the machine since the last one.
type Reading struct {
	// Use is the share of the machine that went to anything but this node's work.
	Use float64
	// Battery says that it runs on its battery.
	Battery bool
}

// Machine decides. It is not safe for concurrent use.
type Machine struct {
	slots int
	means Means
	rules Rules

	last    time.Time // of the last reading
	before  float64   // the use in it
	seen    []moment  // of the last calm
	level   float64   // the owner's use, as far as it counts
	inUse   bool
	battery bool
	held    time.Time // since when; zero if not
	freed   bool      // what was held has gone back
	sampled bool
}

type moment struct {
	at  time.Time
	use float64
}

// New returns the decision for a machine with slots. It begins with nobody at
// the machine.
func New(slots int, means Means, rules Rules) *Machine {
	return &Machine{slots: slots, means: means, rules: rules}
}

// Set changes the rules.
func (m *Machine) Set(now time.Time, r Rules) Offer {
	m.rules = r
	if !r.Yield {
		m.forget()
	}
	return m.offer(now)
}

// Observe takes a reading.
func (m *Machine) Observe(now time.Time, r Reading) Offer {
	if m.sampled && now.Sub(m.last) > stalled {
		m.forget()
	}
	use := min(max(r.Use, 0), 1)
	if math.IsNaN(use) {
		use = 0
	}
	// The mean of two: what is over within a moment is nobody at the machine.
	mean := use
	if m.sampled {
		mean = (use + m.before) / 2
	}
	m.last, m.before, m.battery, m.sampled = now, use, r.Battery, true
	m.remember(now, mean)
	m.inUse = m.level >= busy || m.inUse && m.level >= idle
	return m.offer(now)
}

// remember makes the level the most that was seen within calm.
func (m *Machine) remember(now time.Time, use float64) {
	m.seen = slices.DeleteFunc(m.seen, func(s moment) bool { return now.Sub(s.at) >= calm })
	m.seen = append(m.seen, moment{now, use})
	m.level = 0
	for _, s := range m.seen {
		m.level = max(m.level, s.use)
	}
}

func (m *Machine) forget() {
	*m = Machine{slots: m.slots, means: m.means, rules: m.rules, held: m.held, freed: m.freed}
}

func (m *Machine) offer(now time.Time) Offer {
	o := Offer{Of: m.slots, Slots: m.shared(), Portion: m.rules.Share, Why: Shared}
	held := false
	switch {
	case !m.rules.Yield:
	case m.battery:
		o.Why, o.Slots, o.Lowest, held = OnBattery, 0, true, true
	case m.inUse:
		o.Why, o.Use, o.Lowest = InUse, m.level, true
		free := 1 - m.level
		o.Slots = min(o.Slots, int(math.Round(float64(m.slots)*free)))
		o.Portion = min(o.Portion, max(free, least))
		held = o.Slots == 0 && !m.means.Lower
	}
	m.hold(now, &o, held)
	return o
}

// hold holds what runs, and gives it up when that has lasted too long, or at
// once where nothing can be held.
func (m *Machine) hold(now time.Time, o *Offer, held bool) {
	if !held {
		m.held, m.freed = time.Time{}, false
		return
	}
	if m.held.IsZero() {
		m.held = now
	}
	m.freed = m.freed || !m.means.Stop || now.Sub(m.held) >= patience
	o.Held, o.Release = !m.freed, m.freed
}

// shared is how many slots the owner's share comes to.
func (m *Machine) shared() int {
	const rounding = 1e-9 // a third of three is one
	return min(m.slots, int(math.Ceil(float64(m.slots)*m.rules.Share-rounding)))
}
