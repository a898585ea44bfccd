package sched_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store/digest"
)

// BenchmarkOpenStep is what a step of an open build takes of the CPU beside its
// execution, in a mesh of so many nodes in this process, all together: where each is
// added when the one before is announced, as a user does who waits, and where eight
// are under way. The yardstick is one check of a signature.
func BenchmarkOpenStep(b *testing.B) {
	const steps = 1000
	for _, n := range []int{1, 3} {
		for _, ahead := range []int{1, 8} {
			b.Run(fmt.Sprintf("nodes=%d/ahead=%d", n, ahead), func(b *testing.B) {
				w := newWorld(b)
				w.runTime = 0
				defer w.close()
				for i := range n {
					w.join(byte(i + 1))
				}
				m := w.at(0)
				all := m.flat(steps * (b.N + 1)).Steps()
				for i := range b.N {
					begun := cpu()
					m.flow(b, fmt.Sprint(i), all[i*steps:(i+1)*steps], ahead)
					b.ReportMetric(float64((cpu()-begun).Microseconds())/steps, "µs/step")
				}
				b.ReportMetric(yardstick(b), "µs/signature-check")
			})
		}
	}
}

// flow has an open build do steps, of which so many are under way at once.
func (m *machine) flow(b *testing.B, id string, steps []action.Step, ahead int) {
	none, err := action.NewGraph(nil)
	if err != nil {
		b.Fatal(err)
	}
	o := &counter{m: m, done: make(chan struct{}, len(steps))}
	x, err := m.Open(b.Context(), sched.Build{ID: steal.BuildID(id), Plan: m.plan(none, steal.Modes{})}, o)
	if err != nil {
		b.Fatal(err)
	}
	over := make(chan error, 1)
	go func() { over <- x.Run() }()
	for i := range steps {
		if i >= ahead {
			<-o.done
		}
		if _, err := x.Add(steps[i]); err != nil {
			b.Fatal(err)
		}
	}
	x.Close()
	if err := <-over; err != nil {
		b.Fatal(err)
	}
}

// counter is an observer who counts.
type counter struct {
	m    *machine
	done chan struct{}
}

func (c *counter) Elected(peer.ID, []peer.ID, uint64) {}
func (c *counter) Started(steal.Step, peer.ID)        {}
func (c *counter) Note(string)                        {}
func (c *counter) Weakened(steal.Mode, []peer.ID)     {}
func (c *counter) Watched(*steal.Event)               {}
func (c *counter) Failed(_ steal.Step, why string)    { c.m.w.t.Error(why) }
func (c *counter) Finished(steal.Step, *steal.Done)   { c.done <- struct{}{} }

func (c *counter) Secure(ctx context.Context, _ steal.Step, d *steal.Done) error {
	for _, o := range d.Entry.Result.Outputs {
		if err := c.m.fetch(ctx, []digest.Digest{o.Digest}, d.Holders); err != nil {
			return err
		}
	}
	return nil
}

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func yardstick(b *testing.B) float64 {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		b.Fatal(err)
	}
	signature := ed25519.Sign(private, []byte("yard"))
	const checks = 2000
	begun := cpu()
	for range checks {
		if !ed25519.Verify(public, []byte("yard"), signature) {
			b.Fatal("a good signature is bad")
		}
	}
	return float64((cpu() - begun).Microseconds()) / checks
}
