// Package claim keeps who is executing which action: the pure machine behind
// the claims of package sched/registry. A claim is a lease that saves work and
// nothing else; a lost one costs one execution. Start reading at Table.
package claim

import (
	"fmt"
	"slices"
	"time"

	"github.com/buildnet/buildnet/store/digest"
)

// Times and limits of claims.
const (
	// Lease is how long the claims of a session last that says nothing: five
	// missed renewals.
	Lease = 5 * time.Second
	// RenewEvery is how often a session with claims says that it lives.
	RenewEvery = time.Second
	// MaxSession bounds the claims held and waited for by one session.
	MaxSession = 1 << 14
	// MaxWaiters bounds those who wait for one action: as many as there may be
	// builds on a large mesh.
	MaxWaiters = 1 << 10
)

// Build names the build that claims. Claims of one build never wait for one
// another: its next leader goes on with those of the last.
type Build string

// Session names a stream of claims. All of them end with it.
type Session uint64

// Own is the session of the node that keeps the table; it never ends.
const Own Session = 0

// Claimant is a build as it claims on a session.
type Claimant struct {
	Session Session
	Build   Build
	// Alone builds ask nobody. They and the others do not wait for one another:
	// what such a build has claimed it may come to last, on its only machine, and
	// what another member executes it is not told of.
	Alone bool
}

// subject is what is claimed: an action, once by builds that ask the mesh and
// once by those that do not.
type subject struct {
	action digest.Digest
	alone  bool
}

func (s subject) compare(other subject) int {
	if c := s.action.Compare(other.action); c != 0 {
		return c
	}
	switch {
	case s.alone == other.alone:
		return 0
	case other.alone:
		return -1
	default:
		return 1
	}
}

// Ticket names a waiting request, so that it can be answered later. The
// caller makes them; each is used once.
type Ticket uint64

// Verdict answers a claim.
type Verdict uint8

const (
	// Granted claims are the claimant's until Release, Publish or the end of
	// its session.
	Granted Verdict = iota + 1
	// Waiting claims are answered later, by their ticket.
	Waiting
	// Unkept claims are above a limit: the claimant goes ahead without one.
	Unkept
)

// String returns the verdict in lower case.
func (v Verdict) String() string {
	switch v {
	case Granted:
		return "granted"
	case Waiting:
		return "waiting"
	case Unkept:
		return "unkept"
	default:
		return fmt.Sprintf("verdict %d", uint8(v))
	}
}

// Output is what a call comes to for those who wait.
type Output struct {
	// Granted tickets have the claim now.
	Granted []Ticket
	// Dropped tickets wait no longer: their session or build went away.
	Dropped []Ticket
}

type waiter struct {
	who    Claimant
	ticket Ticket
}

type held struct {
	holder  Claimant
	waiters []waiter // in the order they came
}

type session struct {
	expires time.Time // not used for Own
	// touches counts, for each subject, the session's claim and waits.
	touches map[subject]int
	total   int
}

// Table is the machine. Its zero value is not usable: see NewTable.
type Table struct {
	claims   map[subject]*held
	sessions map[Session]*session
}

// NewTable returns a table without claims.
func NewTable() *Table {
	return &Table{claims: map[subject]*held{}, sessions: map[Session]*session{}}
}

// Claim asks for an action. A claim that another build holds is waited for.
func (t *Table) Claim(now time.Time, a digest.Digest, who Claimant, ticket Ticket) Verdict {
	if s, ok := t.sessions[who.Session]; ok && s.total >= MaxSession {
		return Unkept
	}
	of := subject{a, who.Alone}
	h, ok := t.claims[of]
	switch {
	case !ok:
		t.claims[of] = &held{holder: who}
		t.touch(now, who.Session, of)
		return Granted
	case h.holder.Build == who.Build:
		t.hold(now, of, h, who)
		return Granted
	case len(h.waiters) >= MaxWaiters:
		return Unkept
	}
	h.waiters = append(h.waiters, waiter{who, ticket})
	t.touch(now, who.Session, of)
	return Waiting
}

// hold makes who the holder in place of another session of its build.
func (t *Table) hold(now time.Time, of subject, h *held, who Claimant) {
	t.untouch(h.holder.Session, of)
	h.holder = who
	t.touch(now, who.Session, of)
}

// Release ends what who holds of a, or waits for.
func (t *Table) Release(now time.Time, a digest.Digest, who Claimant) Output {
	of := subject{a, who.Alone}
	h, ok := t.claims[of]
	if !ok {
		return Output{}
	}
	dropped := t.drop(of, h, func(w waiter) bool { return w.who == who })
	if h.holder != who {
		return Output{Dropped: dropped}
	}
	return Output{Granted: t.next(now, of, h), Dropped: dropped}
}

// drop takes waiters out and returns their tickets.
func (t *Table) drop(of subject, h *held, which func(waiter) bool) []Ticket {
	var dropped []Ticket
	h.waiters = slices.DeleteFunc(h.waiters, func(w waiter) bool {
		if !which(w) {
			return false
		}
		t.untouch(w.who.Session, of)
		dropped = append(dropped, w.ticket)
		return true
	})
	return dropped
}

// next gives a claim that its holder is done with to the one that has waited
// longest, and to all waits of the same build.
func (t *Table) next(now time.Time, of subject, h *held) []Ticket {
	t.untouch(h.holder.Session, of)
	if len(h.waiters) == 0 {
		delete(t.claims, of)
		return nil
	}
	h.holder = h.waiters[0].who
	t.touch(now, h.holder.Session, of)
	return t.drop(of, h, func(w waiter) bool { return w.who.Build == h.holder.Build })
}

// Publish ends the claims of an action whose result is known, and returns the
// tickets of all that waited for it, in order.
func (t *Table) Publish(a digest.Digest) []Ticket {
	return append(t.end(subject{action: a}), t.end(subject{action: a, alone: true})...)
}

func (t *Table) end(of subject) []Ticket {
	h, ok := t.claims[of]
	if !ok {
		return nil
	}
	delete(t.claims, of)
	t.untouch(h.holder.Session, of)
	tickets := make([]Ticket, len(h.waiters))
	for i, w := range h.waiters {
		tickets[i] = w.ticket
		t.untouch(w.who.Session, of)
	}
	return tickets
}

// Renew says that a session lives.
func (t *Table) Renew(now time.Time, id Session) {
	if s, ok := t.sessions[id]; ok {
		s.expires = now.Add(Lease)
	}
}

// Gone ends a session with all that it holds and waits for.
func (t *Table) Gone(now time.Time, id Session) Output {
	s, ok := t.sessions[id]
	if !ok {
		return Output{}
	}
	subjects := make([]subject, 0, len(s.touches))
	for of := range s.touches {
		subjects = append(subjects, of)
	}
	slices.SortFunc(subjects, subject.compare)
	var out Output
	for _, of := range subjects {
		h := t.claims[of]
		out.Dropped = append(out.Dropped, t.drop(of, h, func(w waiter) bool { return w.who.Session == id })...)
		if h.holder.Session == id {
			out.Granted = append(out.Granted, t.next(now, of, h)...)
		}
	}
	return out
}

// Tick ends the sessions whose time is over.
func (t *Table) Tick(now time.Time) Output {
	var over []Session
	for id, s := range t.sessions {
		if id != Own && !now.Before(s.expires) {
			over = append(over, id)
		}
	}
	slices.Sort(over)
	var out Output
	for _, id := range over {
		o := t.Gone(now, id)
		out.Granted, out.Dropped = append(out.Granted, o.Granted...), append(out.Dropped, o.Dropped...)
	}
	return out
}

// Claims reports whether the build has the claim of an action.
func (t *Table) Claims(a digest.Digest, build Build) bool {
	for _, alone := range []bool{false, true} {
		if h, ok := t.claims[subject{a, alone}]; ok && h.holder.Build == build {
			return true
		}
	}
	return false
}

// Holds reports whether anything of the session is left.
func (t *Table) Holds(id Session) bool {
	_, ok := t.sessions[id]
	return ok
}

// Len returns the number of claims.
func (t *Table) Len() int { return len(t.claims) }

func (t *Table) touch(now time.Time, id Session, of subject) {
	s, ok := t.sessions[id]
	if !ok {
		s = &session{expires: now.Add(Lease), touches: map[subject]int{}}
		t.sessions[id] = s
	}
	s.touches[of]++
	s.total++
}

func (t *Table) untouch(id Session, of subject) {
	s := t.sessions[id]
	s.total--
	if s.touches[of]--; s.touches[of] == 0 {
		delete(s.touches, of)
	}
	if s.total == 0 {
		delete(t.sessions, id)
	}
}
