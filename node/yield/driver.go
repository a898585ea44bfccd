package yield

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// Total is what was used of the machine so far, and how it is powered.
type Total struct {
	// All is the CPU time of everything, Node that of this node and its work.
	All, Node time.Duration
	// Cores is how many processors All could use at once.
	Cores float64
	// Waited is how long something waited for a processor.
	Waited  time.Duration
	Battery bool
}

// contended is the part of the time in which something waits for a processor
// from which on the machine gives all that it has.
const contended = 0.5

// Work is what is done here for others. The Driver calls one method at a time.
type Work interface {
	// Lend gives others so many slots from now on.
	Lend(slots int)
	// Bind says how what runs is to run, in a way that holds until the next call.
	Bind(b Binding) error
	// Release gives what runs back to whom it came from.
	Release()
}

// Binding is how the work of others runs.
type Binding struct {
	// Lowest counts least against all else here.
	Lowest bool
	// Portion of the machine's processors is the most that it uses; 1 is no bound.
	Portion float64
	// Held stands still.
	Held bool
}

// Options are what a Driver needs. Log and Read may be left out.
type Options struct {
	Slots int
	Means Means
	Rules Rules
	Work  Work
	// Read returns what was used until now; nil where that cannot be told. An
	// error is one reading less.
	Read func() (Total, error)
	Log  *slog.Logger
}

// Driver sees to it that others get what the owner leaves to them. Its methods
// may be called concurrently.
type Driver struct {
	opts Options
	sets chan setting
	done chan struct{} // closed when Run has ended

	// Owned by Run.
	machine *Machine
	last    Total
	at      time.Time // of last; zero if there is none
	failed  bool

	mu    sync.Mutex
	rules Rules
	offer Offer
}

type setting struct {
	rules Rules
	set   chan Offer
}

// ErrEnded says that the Driver does not run any more.
var ErrEnded = errors.New("this node stops")

// NewDriver returns what Run drives.
func NewDriver(o Options) *Driver {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	d := &Driver{opts: o, sets: make(chan setting), done: make(chan struct{}), machine: New(o.Slots, o.Means, o.Rules), rules: o.Rules}
	d.offer = d.machine.Set(time.Time{}, o.Rules)
	return d
}

// Now returns the rules and what they come to at this moment.
func (d *Driver) Now() (Rules, Offer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rules, d.offer
}

// Set changes the rules, and returns what they come to when that is done.
func (d *Driver) Set(ctx context.Context, r Rules) (Offer, error) {
	s := setting{rules: r, set: make(chan Offer, 1)}
	select {
	case d.sets <- s:
		return <-s.set, nil
	case <-d.done:
		return Offer{}, ErrEnded
	case <-ctx.Done():
		return Offer{}, ctx.Err()
	}
}

// Run keeps to the rules until ctx ends; then others have nothing here that
// stands still.
func (d *Driver) Run(ctx context.Context) error {
	defer close(d.done)
	tick := time.NewTicker(Every)
	defer tick.Stop()
	rules, offer := d.Now()
	d.opts.Work.Lend(offer.Slots)
	d.bind(bindingOf(offer))
	for {
		select {
		case <-ctx.Done():
			d.bind(Binding{Portion: 1})
			return nil
		case s := <-d.sets:
			rules, d.at = s.rules, time.Time{}
			d.keep(rules, d.machine.Set(time.Now(), rules))
			_, o := d.Now()
			s.set <- o
		case now := <-tick.C:
			if r, ok := d.read(rules, now); ok {
				d.keep(rules, d.machine.Observe(now, r))
			}
		}
	}
}

// read makes a reading of two totals.
func (d *Driver) read(rules Rules, now time.Time) (Reading, bool) {
	if !rules.Yield || d.opts.Read == nil {
		return Reading{}, false
	}
	t, err := d.opts.Read()
	if err != nil {
		if !d.failed {
			d.opts.Log.Warn("others do not yield to the owner of this machine", "error", err)
		}
		d.failed, d.at = true, time.Time{}
		return Reading{}, false
	}
	d.failed = false
	before, since := d.last, now.Sub(d.at)
	first := d.at.IsZero()
	d.last, d.at = t, now
	used, ours := t.All-before.All, t.Node-before.Node
	// What falls behind is a process that ended while it was read.
	if first || since <= 0 || used < 0 || ours < 0 || !(t.Cores > 0) {
		return Reading{Battery: t.Battery}, t.Battery
	}
	capacity := time.Duration(float64(since) * t.Cores)
	if float64(t.Waited-before.Waited) > contended*float64(since) {
		// A virtual machine, or a group among others, may get less than its
		// processors: all that it gets is the whole then.
		capacity = min(capacity, max(used, 1))
	}
	return Reading{Use: float64(used-ours) / float64(capacity), Battery: t.Battery}, true
}

// keep does what an offer says that is new.
func (d *Driver) keep(rules Rules, o Offer) {
	d.mu.Lock()
	was := d.offer
	d.rules, d.offer = rules, o
	d.mu.Unlock()
	if o.Slots != was.Slots {
		d.opts.Work.Lend(o.Slots)
	}
	if o.Release && !was.Release {
		d.opts.Work.Release()
	}
	if b := bindingOf(o); b != bindingOf(was) {
		d.bind(b)
	}
	if o.Slots != was.Slots || o.Why != was.Why || o.Held != was.Held || o.Release != was.Release {
		d.opts.Log.Info("what others may use of this machine", "offer", o.Text())
	}
}

func bindingOf(o Offer) Binding { return Binding{Lowest: o.Lowest, Portion: o.Portion, Held: o.Held} }

func (d *Driver) bind(b Binding) {
	if err := d.opts.Work.Bind(b); err != nil {
		d.opts.Log.Warn("the work of others does not run as it should", "error", err)
	}
}
