package yield

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// place is a machine with two cores whose owner and whose work use what they
// are told to.
type place struct {
	mu sync.Mutex
	situation
	total Total
	at    time.Time
	did   []string
}

type situation struct {
	owner, work float64 // cores
	battery     bool
	waits       bool // something does, always
	broken      error
}

// becomes changes the situation from now on.
func (p *place) becomes(s situation) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.situation = s
}

func (p *place) read() (Total, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken != nil {
		return Total{}, p.broken
	}
	since := time.Since(p.at)
	p.at = time.Now()
	p.total.All += time.Duration((p.owner + p.work) * float64(since))
	p.total.Node += time.Duration(p.work * float64(since))
	if p.waits {
		p.total.Waited += since
	}
	p.total.Cores, p.total.Battery = 2, p.battery
	return p.total, nil
}

func (p *place) Lend(slots int) { p.note("lend %d", slots) }

func (p *place) Release() { p.note("release") }

func (p *place) Bind(b Binding) error {
	p.note("bind %.2f lowest %v held %v", b.Portion, b.Lowest, b.Held)
	return nil
}

func (p *place) note(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.did = append(p.did, fmt.Sprintf(format, args...))
}

// take returns what was done since the last call.
func (p *place) take() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	did := p.did
	p.did = nil
	return did
}

// does compares what was done since the last call.
func (p *place) does(t *testing.T, what string, want ...string) {
	t.Helper()
	synctest.Wait()
	if did := p.take(); !slices.Equal(did, want) {
		t.Errorf("%s: %q, want %q", what, did, want)
	}
}

// comesTo looks for two of the things that were done, the second of them last.
func (p *place) comesTo(t *testing.T, what, one, last string) {
	t.Helper()
	synctest.Wait()
	did := p.take()
	if !slices.Contains(did, one) || did[len(did)-1] != last {
		t.Errorf("%s: %q, want %q among them and %q last", what, did, one, last)
	}
}

// pass lets time pass, and all that happens in it.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func driven(t *testing.T, rules Rules, f func(t *testing.T, p *place, d *Driver)) {
	synctest.Test(t, func(t *testing.T) {
		p := &place{at: time.Now()}
		d := NewDriver(Options{Slots: 2, Means: Means{Lower: true, Stop: true}, Rules: rules, Work: p, Read: p.read})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- d.Run(ctx) }()
		synctest.Wait()
		f(t, p, d)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if did := p.take(); len(did) == 0 || did[len(did)-1] != "bind 1.00 lowest false held false" {
			t.Errorf("it leaves: %q", did)
		}
		if _, err := d.Set(t.Context(), rules); !errors.Is(err, ErrEnded) {
			t.Errorf("set after the end: %v", err)
		}
	})
}

func TestDriverYieldsToTheOwnerAndNotToItsOwnWork(t *testing.T) {
	driven(t, Rules{Share: 1, Yield: true}, func(t *testing.T, p *place, _ *Driver) {
		p.does(t, "begins", "lend 2", "bind 1.00 lowest false held false")
		p.becomes(situation{work: 2})
		pass(5 * time.Second)
		p.does(t, "its own work")
		p.becomes(situation{work: 0.1, owner: 1.9})
		pass(2 * time.Second)
		p.comesTo(t, "the owner's", "lend 0", "bind 0.05 lowest true held false")
		p.becomes(situation{})
		pass(2 * calm)
		p.comesTo(t, "and back", "lend 2", "bind 1.00 lowest false held false")
	})
}

func TestDriverHoldsOnBatteryAndGivesBack(t *testing.T) {
	driven(t, Rules{Share: 1, Yield: true}, func(t *testing.T, p *place, _ *Driver) {
		p.does(t, "begins", "lend 2", "bind 1.00 lowest false held false")
		p.becomes(situation{battery: true})
		pass(time.Second)
		p.does(t, "unplugged", "lend 0", "bind 1.00 lowest true held true")
		pass(patience)
		p.does(t, "for long", "release", "bind 1.00 lowest true held false")
	})
}

func TestRulesAreSetAtOnce(t *testing.T) {
	driven(t, Rules{Share: 1}, func(t *testing.T, p *place, d *Driver) {
		p.does(t, "begins", "lend 2", "bind 1.00 lowest false held false")
		p.becomes(situation{owner: 2})
		pass(5 * time.Second)
		p.does(t, "it does not yield")
		o, err := d.Set(t.Context(), Rules{Share: 0.5})
		if err != nil || o.Slots != 1 {
			t.Errorf("set: %+v, %v", o, err)
		}
		p.does(t, "half", "lend 1", "bind 0.50 lowest false held false")
		if r, now := d.Now(); r.Share != 0.5 || now != o {
			t.Errorf("now: %+v, %+v", r, now)
		}
	})
}

func TestWhatCannotBeReadIsNoUse(t *testing.T) {
	driven(t, Rules{Share: 1, Yield: true}, func(t *testing.T, p *place, _ *Driver) {
		p.does(t, "begins", "lend 2", "bind 1.00 lowest false held false")
		p.becomes(situation{owner: 2, broken: errors.New("no")})
		pass(5 * time.Second)
		p.does(t, "nothing is read")
		p.becomes(situation{owner: 2})
		pass(2 * time.Second)
		p.comesTo(t, "read again", "lend 0", "bind 0.05 lowest true held false")
	})
}

func TestTheWholeIsWhatTheMachineGets(t *testing.T) {
	driven(t, Rules{Share: 1, Yield: true}, func(t *testing.T, p *place, d *Driver) {
		p.becomes(situation{owner: 0.3, work: 0.05})
		pass(5 * time.Second)
		if _, o := d.Now(); o.Slots != 2 {
			t.Errorf("nobody waits: %+v", o)
		}
		p.becomes(situation{owner: 0.3, work: 0.05, waits: true})
		pass(5 * time.Second)
		if _, o := d.Now(); o.Slots != 0 || o.Why != InUse {
			t.Errorf("the owner waits: %+v", o)
		}
		p.becomes(situation{owner: 0.05, work: 0.4, waits: true})
		pass(5 * time.Second)
		if _, o := d.Now(); o.Slots != 2 {
			t.Errorf("the work of others waits: %+v", o)
		}
	})
}
