package invocation

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/buildnet/buildnet/store"
)

// keepDesk is for how long a desk that nobody uses is kept: what it knows of the
// files of a project makes the next run of it cheap, and takes some megabytes.
const keepDesk = 10 * time.Minute

// desks is the one desk of a node, which all of its invocations share: its files
// are the same ones. Each that begins has all files looked at anew.
type desks struct {
	open func() (Desk, error)
	keep store.Leaser
	log  *slog.Logger
	idle chan struct{} // a token says that nobody uses the desk any more

	// turn is held by whoever uses the fields below.
	turn   chan struct{}
	desk   *Desk // nil while there is none
	visits map[*visit]bool

	stir chan struct{} // held by whoever has files looked at anew

	mu      sync.Mutex
	stirred uint64 // how often that was begun
}

// visit is the use of the desk by an invocation.
type visit struct {
	*Desk
	of     *desks
	leases []*sharedLease
}

// sharedLease holds what steps were given since the last invocation began: by all
// that went on then, and it ends with the last of them.
type sharedLease struct {
	store.Lease
	users int
}

func newDesks(open func() (Desk, error), keep store.Leaser, log *slog.Logger) *desks {
	return &desks{open: open, keep: keep, log: log, idle: make(chan struct{}, 1), turn: make(chan struct{}, 1), visits: map[*visit]bool{}, stir: make(chan struct{}, 1)}
}

// enter begins an invocation at the desk.
func (d *desks) enter(ctx context.Context) (*visit, error) {
	if err := d.take(ctx); err != nil {
		return nil, err
	}
	defer d.give()
	if d.desk == nil {
		desk, err := d.open()
		if err != nil {
			return nil, err
		}
		d.desk = &desk
	}
	l := &sharedLease{Lease: d.keep.Lease()}
	if err := d.desk.Begin(ctx, l); err != nil {
		l.Release()
		return nil, err
	}
	v := &visit{Desk: d.desk, of: d}
	d.visits[v] = true
	for other := range d.visits {
		other.leases = append(other.leases, l)
		l.users++
	}
	return v, nil
}

// leave ends an invocation at the desk, and keeps what was learned in it.
func (v *visit) leave(ctx context.Context) {
	d := v.of
	d.turn <- struct{}{} // nobody has it for long
	defer d.give()
	if err := v.Save(ctx); err != nil {
		d.log.Warn("what compiles read has to be found out again", "error", err)
	}
	delete(d.visits, v)
	for _, l := range v.leases {
		if l.users--; l.users == 0 {
			l.Release()
		}
	}
	if len(d.visits) == 0 {
		select {
		case d.idle <- struct{}{}:
		default:
		}
	}
}

// fresh has files looked at anew that may have changed until now. Commands that
// come at once share a look.
func (v *visit) fresh(ctx context.Context) error {
	d := v.of
	began := d.begun(0)
	select {
	case d.stir <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-d.stir }()
	if d.begun(0) != began {
		return nil
	}
	d.begun(1)
	return v.Stir(ctx)
}

func (d *desks) begun(more uint64) uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stirred += more
	return d.stirred
}

// run closes the desk when nobody has used it for a while, and in the end.
func (d *desks) run(ctx context.Context) {
	timer := time.NewTimer(keepDesk)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			d.close()
			return
		case <-d.idle:
			timer.Reset(keepDesk)
		case <-timer.C:
			d.close()
		}
	}
}

// close closes the desk, unless it is in use.
func (d *desks) close() {
	d.turn <- struct{}{} // nobody has it for long
	defer d.give()
	if d.desk == nil || len(d.visits) > 0 {
		return
	}
	if err := d.desk.Close(); err != nil {
		d.log.Warn("what is in files has to be found out again", "error", err)
	}
	d.desk = nil
}

func (d *desks) take(ctx context.Context) error {
	select {
	case d.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *desks) give() { <-d.turn }
