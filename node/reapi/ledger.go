package reapi

import (
	"context"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/buildnet/buildnet/node/reapi/fault"
	"github.com/buildnet/buildnet/node/reapi/limits"
	"github.com/buildnet/buildnet/node/reapi/share"
)

// queueTime is how long a call may wait for room: as long as another client's message
// may take, which has it, and somewhat longer.
const queueTime = patience + 15*time.Second

// floorBytes are each connection's, however much others of its client have, unless
// that has an eighth of all more than its share: small calls do not wait, and as many
// connections as there may be do not take all.
const floorBytes = 512 << 10

var errNoRoom = fault.Errorf(codes.ResourceExhausted, "the messages of this client that are under way take all the memory that it may have; try again in a moment")

// ledger has what memory the calls of all connections take, in bytes. What has not
// come waits until there is room. What has come is counted, and where a client has
// much more than its share of it its connection ends that has most.
type ledger struct {
	ends sync.WaitGroup // of connections

	mu       sync.Mutex
	pool     *share.Pool
	accounts map[*account]struct{}
	leaving  *share.Pool // what those have that were ended
	waiting  []*claim    // the oldest first
}

// account is what one connection has.
type account struct {
	of *ledger
	// end ends the connection. It is called once at most, with no lock held.
	end func()

	// guarded by of.mu
	client string
	used   int64
	ended  bool
}

// claim is a wait for room.
type claim struct {
	by    *account
	n     int64
	given chan struct{}
}

func newLedger(whole int64) *ledger {
	return &ledger{pool: share.New(whole), leaving: share.New(0), accounts: map[*account]struct{}{}}
}

func (l *ledger) open(client string, end func()) *account {
	a := &account{of: l, client: client, end: end}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.accounts[a] = struct{}{}
	return a
}

// become has another client answer for the connection.
func (a *account) become(client string) {
	a.of.mu.Lock()
	defer a.of.mu.Unlock()
	a.of.pool.Move(a.client, client, a.used)
	if a.ended {
		a.of.leaving.Move(a.client, client, a.used)
	}
	a.client = client
}

// closed says that the connection has ended. What its calls still have is counted
// until they give it back.
func (a *account) closed() {
	a.of.mu.Lock()
	defer a.of.mu.Unlock()
	delete(a.of.accounts, a)
	a.of.leave(a)
}

// leave is called with mu held.
func (l *ledger) leave(a *account) {
	if !a.ended {
		a.ended = true
		l.leaving.Add(a.client, a.used)
	}
}

// add counts n bytes that are there, or that are no more if n is negative.
func (a *account) add(n int64) {
	if n == 0 {
		return
	}
	l := a.of
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count(a, n)
	if n < 0 || !l.over(a.client) {
		return
	}
	if worst := l.worst(a.client); worst != nil {
		l.leave(worst)
		l.ends.Go(worst.end)
	}
}

// over says whether a client has more than it may, without having asked for it: more
// than is left by so much that others would wait for it. It is called with mu held.
func (l *ledger) over(client string) bool { return l.beyond(client) > l.pool.Max()/4 }

// beyond is by how much a client has more than is left. It is called with mu held.
func (l *ledger) beyond(client string) int64 {
	stays := l.pool.Used() - l.leaving.Used()
	has := l.pool.Of(client) - l.leaving.Of(client)
	return has - (l.pool.Max() - stays)
}

// count is called with mu held.
func (l *ledger) count(a *account, n int64) {
	a.used += n
	l.pool.Add(a.client, n)
	if a.ended {
		l.leaving.Add(a.client, n)
	}
	if n < 0 {
		l.give()
	}
}

// worst is the connection of a client that has most. It is called with mu held.
func (l *ledger) worst(client string) *account {
	var worst *account
	for a := range l.accounts {
		if a.client == client && !a.ended && (worst == nil || a.used > worst.used) {
			worst = a
		}
	}
	return worst
}

// free is how much more the connection may have: no more than is left, like its
// client. It is called with mu held.
func (a *account) free() int64 { return a.of.pool.Free(a.client) - a.used }

// fits says whether there is room for n bytes more. It is called with mu held.
func (a *account) fits(n int64) bool { return a.free() >= n || a.small(n) }

// small says whether n bytes more are of what a connection has in any case. It is
// called with mu held.
func (a *account) small(n int64) bool {
	return a.used+n <= floorBytes && a.of.beyond(a.client) <= a.of.pool.Max()/8
}

// try takes n bytes if there is room, and reports whether.
func (a *account) try(n int64) bool {
	a.of.mu.Lock()
	defer a.of.mu.Unlock()
	if a.free() < n {
		return false
	}
	a.of.count(a, n)
	return true
}

// take waits for room for n bytes, whose giving back is add's.
func (a *account) take(ctx context.Context, n int64) error {
	if n > limits.MaxTake {
		return fault.Errorf(codes.ResourceExhausted, "%d bytes of memory for one call, the limit is %d", n, limits.MaxTake)
	}
	l := a.of
	l.mu.Lock()
	if a.small(n) || a.free() >= n && a.overtakes() {
		l.count(a, n)
		l.mu.Unlock()
		return nil
	}
	c := &claim{by: a, n: n, given: make(chan struct{})}
	l.waiting = append(l.waiting, c)
	l.mu.Unlock()
	timer := time.NewTimer(queueTime)
	defer timer.Stop()
	err := errNoRoom
	select {
	case <-c.given:
		return nil
	case <-timer.C:
	case <-ctx.Done():
		err = ctx.Err()
	}
	return l.withdraw(c, err)
}

// before says whether a claim comes before what another connection of its client
// wants: it is of a connection that has no more, and waits for its client to have
// less, so that a large one comes to its turn. It is called with mu held.
func (c *claim) before(a *account) bool {
	return c.by.client == a.client && c.by.used <= a.used && a.of.pool.Free(a.client) < c.n
}

// overtakes says whether nobody waits who comes before. It is called with mu held.
func (a *account) overtakes() bool {
	return !slices.ContainsFunc(a.of.waiting, func(c *claim) bool { return c.before(a) })
}

// give gives what is left to those who wait: of each client first to the connection
// that has least. It is called with mu held.
func (l *ledger) give() {
	for len(l.waiting) > 0 {
		next := map[string]*claim{}
		for _, c := range l.waiting {
			if own := !c.by.fits(c.n) && l.pool.Free(c.by.client) >= c.n; own {
				continue // its connection has too much, which is no matter of others
			}
			if n := next[c.by.client]; n == nil || c.by.used < n.by.used {
				next[c.by.client] = c
			}
		}
		i := slices.IndexFunc(l.waiting, func(c *claim) bool { return next[c.by.client] == c && c.by.fits(c.n) })
		if i < 0 {
			return
		}
		c := l.waiting[i]
		l.waiting = slices.Delete(l.waiting, i, i+1)
		l.count(c.by, c.n)
		close(c.given)
	}
}

// withdraw ends a wait with err, unless it was given at the last moment.
func (l *ledger) withdraw(c *claim, err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.Index(l.waiting, c)
	if i < 0 {
		return nil
	}
	l.waiting = slices.Delete(l.waiting, i, i+1)
	l.give() // those who waited behind it
	return err
}
