package sched_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/mesh/wire"
	"github.com/buildnet/buildnet/sched"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/registry"
	"github.com/buildnet/buildnet/sched/schedpb"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store/digest"
)

// frames writes messages as a peer would.
func frames(t *testing.T, ms ...*schedpb.Envelope) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, m := range ms {
		if err := wire.Write(&b, m); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// A member that says what no member would: each is cut off, and the build
// goes on as if it was not there.
func TestStrangeStreamsDoNotHarmABuild(t *testing.T) {
	noise := make([]byte, 64<<10)
	src := rand.NewChaCha8([32]byte{1})
	_, _ = src.Read(noise)
	for name, say := range map[string]func(t *testing.T, me, initiator peer.ID) []byte{
		"Noise":   func(*testing.T, peer.ID, peer.ID) []byte { return noise },
		"Nothing": func(*testing.T, peer.ID, peer.ID) []byte { return nil },
		"TooLong": func(*testing.T, peer.ID, peer.ID) []byte { return protowire.AppendVarint(nil, 1<<40) },
		"NoHello": func(t *testing.T, me, _ peer.ID) []byte {
			return frames(t, &schedpb.Envelope{
				Build: "b", Epoch: &schedpb.Epoch{Number: 9, Leader: string(me)},
				Body: &schedpb.Envelope_End{End: &schedpb.End{Reason: uint32(steal.Completed)}},
			})
		},
		"AnothersEpoch": func(t *testing.T, _, initiator peer.ID) []byte {
			return frames(t, hello(initiator, initiator, 9))
		},
		"AnotherInitiator": func(t *testing.T, me, _ peer.ID) []byte { return frames(t, hello(me, me, 9)) },
		"TwoBuildsOnAStream": func(t *testing.T, me, initiator peer.ID) []byte {
			return frames(t, hello(me, initiator, 1), &schedpb.Envelope{
				Build: "other", Epoch: &schedpb.Epoch{Number: 1, Leader: string(me)},
				Body: &schedpb.Envelope_End{End: &schedpb.End{Reason: uint32(steal.Completed)}},
			})
		},
		"PlanThatIsNone": func(t *testing.T, me, _ peer.ID) []byte {
			return frames(t, &schedpb.Envelope{
				Build: "c", Epoch: &schedpb.Epoch{Number: 1, Leader: string(me)},
				Body: &schedpb.Envelope_Lead{Lead: &schedpb.Lead{Plan: digest.Of(digest.BLAKE3, []byte("none")).Binary()}},
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 3, func(t *testing.T, w *world) {
				m := w.at(0)
				id, _ := identity(t, 99)
				stranger := w.net.Join(id)
				g := m.compile(20)
				d := m.diary(g, 3)
				ended := m.start(t.Context(), "b", m.plan(g, steal.Modes{}, w.ids(1, 2, 0)...), d)
				<-d.reached
				for i := range 3 {
					for range 4 {
						saying(t, stranger, w.at(i).id, say(t, id, m.id))
					}
				}
				if err := <-ended; err != nil {
					t.Fatal(err)
				}
				d.complete()
				for step, times := range w.executions() {
					if times != 1 {
						t.Errorf("%s ran %d times", step, times)
					}
				}
			})
		})
	}
}

func hello(leader, initiator peer.ID, number uint64) *schedpb.Envelope {
	return &schedpb.Envelope{
		Build: "b", Epoch: &schedpb.Epoch{Number: number, Leader: string(leader)},
		Body: &schedpb.Envelope_Hello{Hello: &schedpb.Hello{
			Initiator: string(initiator), Plan: digest.Of(digest.BLAKE3, nil).Binary(),
		}},
	}
}

// saying opens a stream, says something on it, and waits for the end of it.
func saying(t *testing.T, from peer.Network, to peer.ID, what []byte) {
	t.Helper()
	s, err := from.Open(t.Context(), to, sched.Protocol)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Reset()
	if err := s.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = s.Write(what) }()
	if _, err := io.Copy(io.Discard, s); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the stream is still open")
	}
}

// A member that says it leads a build of its victim's own gets no work done:
// what a node asked for itself, it may do with its own rights.
func TestNobodyElseBeginsABuildOfThisNode(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		id, _ := identity(t, 99)
		s, err := w.net.Join(id).Open(t.Context(), w.at(0).id, sched.Protocol)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Reset()
		if _, err := s.Write(frames(t, hello(id, w.at(0).id, 1))); err != nil {
			t.Fatal(err)
		}
		if said, _ := io.ReadAll(s); len(said) > 0 {
			t.Errorf("it answered with %d bytes", len(said))
		}
	})
}

// Members that begin builds by the hundred do not keep a node from its own.
func TestBuildsOfOthersLeaveRoomForTheOwn(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		m := w.at(0)
		var strangers [5]peer.Network
		for i := range 300 {
			id, _ := identity(t, byte(100+i%5))
			if i < len(strangers) {
				strangers[i] = w.net.Join(id)
			}
			s, err := strangers[i%len(strangers)].Open(t.Context(), m.id, sched.Protocol)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Reset()
			say := hello(id, id, 1)
			say.Build = fmt.Sprint("other", i)
			if _, err := s.Write(frames(t, say)); err != nil {
				t.Fatal(err)
			}
			go func() { _, _ = io.Copy(io.Discard, s) }()
		}
		synctest.Wait()
		g := m.compile(1)
		d := m.diary(g, 0)
		if err := <-m.start(t.Context(), "b", m.plan(g, steal.Modes{}, m.id), d); err != nil {
			t.Fatal(err)
		}
		d.complete()
	})
}

// A member that claims an action for ever costs a build time, and not its end.
func TestClaimThatNeverEndsIsNotWaitedForForEver(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		m := w.at(0)
		g := m.compile(2)
		step := &g.Steps()[0]
		a, err := action.Assemble(t.Context(), step, nil, directoriesOf{m})
		if err != nil {
			t.Fatal(err)
		}
		id, _ := identity(t, 99)
		stranger := registry.New(registry.Options{Self: id, Network: w.net.Join(id), Owners: w.owners, Changes: w.changes, Store: m})
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan error, 1)
		go func() { over <- stranger.Run(ctx) }()
		if _, known, err := stranger.Claim(ctx, registry.Scope{Build: "z", Initiator: id, Reach: registry.Mesh}, a.Action, registry.Early{}); known || err != nil {
			t.Fatal(known, err)
		}
		d := m.diary(g, 0)
		building, stop := context.WithTimeout(t.Context(), step.Timeout+time.Hour)
		if err := <-m.start(building, "b", m.plan(g, steal.Modes{}, w.ids(1, 0)...), d); err != nil {
			t.Error(err)
		}
		stop()
		cancel()
		if err := <-over; err != nil {
			t.Error(err)
		}
	})
}

type directoriesOf struct{ m *machine }

func (d directoriesOf) Directory(ctx context.Context, at digest.Digest) (*repb.Directory, error) {
	var dir repb.Directory
	return &dir, (*runner)(d.m).load(ctx, at, &dir)
}

// What runs with a node's own rights has the sources of the one who asked.
func TestLeaderCannotExchangeTheSourcesOfAFreeStep(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		m := w.at(0)
		steps := slices.Clone(m.compile(2).Steps())
		for i := range steps {
			steps[i].Platform = []action.Property{{Name: action.PropertySandbox, Value: "none"}}
			steps[i].Reach, steps[i].Sharing = action.InitiatorOnly, action.Unshared
		}
		g, err := action.NewGraph(steps)
		if err != nil {
			t.Fatal(err)
		}
		d := m.diary(g, 1)
		ended := m.start(t.Context(), "b", m.plan(g, steal.Modes{}, w.ids(1, 0)...), d)
		<-d.reached
		evil := steps[0]
		empty, err := action.EncodeBlob(&repb.Directory{})
		if err != nil {
			t.Fatal(err)
		}
		evil.Inputs = empty.Digest
		_ = (*shelf)(m).Put(t.Context(), empty)
		a, err := action.Assemble(t.Context(), &evil, nil, directoriesOf{m})
		if err != nil {
			t.Fatal(err)
		}
		_ = (*shelf)(m).Put(t.Context(), a.Blobs...)
		id, _ := identity(t, 99)
		s, err := w.net.Join(id).Open(t.Context(), m.id, sched.Protocol)
		if err != nil {
			t.Fatal(err)
		}
		say := hello(id, m.id, 9)
		_, _ = s.Write(frames(t, say, &schedpb.Envelope{
			Build: "b", Epoch: say.Epoch,
			Body: &schedpb.Envelope_Assign{Assign: &schedpb.Assign{Step: 0, Name: string(evil.ID), Action: a.Action.Binary()}},
		}))
		go func() { _, _ = io.Copy(io.Discard, s) }()
		time.Sleep(runTime)
		_ = s.Reset()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		d.complete()
		evils, owns := 0, 0
		for _, r := range w.runs {
			switch {
			case r.job.Action == a.Action && r.job.Own != nil:
				evils++
			case r.job.Own != nil:
				owns++
			}
		}
		if evils > 0 || owns < 3 {
			t.Errorf("%d with other sources count as this node's, %d with its own", evils, owns)
		}
	})
}
