package stack

import (
	"context"
	"os"
	"sync"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/event"
)

// Build is a build that runs or ran. Its methods may be called concurrently.
type Build struct {
	Asked time.Time
	done  chan struct{}

	mu     sync.Mutex
	events []Told
	said   chan struct{} // replaced at each event
	err    error
}

// Told is an event and when it came.
type Told struct {
	At time.Time
	event.Event
}

// Build asks the node for a build of a tree and does not wait for it. The
// build ends with ctx.
func (m *Machine) Build(ctx context.Context, root string) *Build {
	b := &Build{Asked: time.Now(), done: make(chan struct{}), said: make(chan struct{})}
	go func() {
		err := m.Node.API().Build(ctx, api.BuildRequest{Dir: root, UID: os.Geteuid()}, b.hear)
		b.mu.Lock()
		b.err = err
		b.mu.Unlock()
		close(b.done)
	}()
	return b
}

func (b *Build) hear(e event.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, Told{time.Now(), e})
	close(b.said)
	b.said = make(chan struct{})
}

// Wait waits for the end of the build, and returns what its last event says.
func (b *Build) Wait() (event.BuildFinished, error) {
	<-b.done
	events := b.Events()
	if len(events) == 0 {
		return event.BuildFinished{}, b.err
	}
	f, _ := events[len(events)-1].Event.(event.BuildFinished)
	return f, b.err
}

// Events returns those that came so far.
func (b *Build) Events() []Told {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]Told{}, b.events...)
}

// Until waits until the events so far satisfy enough, or the build is over.
func (b *Build) Until(enough func([]Told) bool) {
	for {
		b.mu.Lock()
		events, said := b.events, b.said
		b.mu.Unlock()
		if enough(events) {
			return
		}
		select {
		case <-said:
		case <-b.done:
			return
		}
	}
}

// Leaders returns the reigns that were told of, in order: the first word of
// each.
func Leaders(events []Told) []Reign {
	var reigns []Reign
	for _, e := range events {
		if l, ok := e.Event.(event.LeaderElected); ok && (len(reigns) == 0 || reigns[len(reigns)-1].Epoch != l.Epoch) {
			reigns = append(reigns, Reign{e.At, peer.ID(l.Leader), l.Epoch, len(l.Standbys)})
		}
	}
	return reigns
}

// Reign is a leader and since when the initiator follows it.
type Reign struct {
	At       time.Time
	Leader   peer.ID
	Epoch    uint64
	Standbys int
}

// Finished returns the announcements of steps, in order.
func Finished(events []Told) []Announcement {
	var all []Announcement
	for _, e := range events {
		if f, ok := e.Event.(event.StepFinished); ok {
			all = append(all, Announcement{e.At, f})
		}
	}
	return all
}

// Announcement is a step that was told of as finished.
type Announcement struct {
	At time.Time
	event.StepFinished
}

// Peer is the node's ID.
func (m *Machine) Peer() peer.ID { return m.Node.Info().Peer }

// Whose returns the machine with a peer's ID, nil if there is none.
func (f *Fleet) Whose(id peer.ID) *Machine {
	for _, m := range f.Machines() {
		if m.Peer() == id {
			return m
		}
	}
	return nil
}

// Sees counts the members that the node believes alive, itself included.
func (m *Machine) Sees() int {
	members, err := m.Node.API().Members(m.fleet.t.Context())
	if err != nil {
		m.fleet.t.Errorf("members of node %d: %v", m.Number, err)
	}
	n := 0
	for _, x := range members {
		if x.State == peer.Alive.String() {
			n++
		}
	}
	return n
}
