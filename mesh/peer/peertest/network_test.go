package peertest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/mesh/peer/peertest"
)

const echo = "/echo/1"

func echoing(t *testing.T) (*peertest.Network, *peertest.Node) {
	t.Helper()
	n := peertest.NewNetwork()
	t.Cleanup(n.Close)
	n.Join("b").Handle(echo, func(_ context.Context, _ peer.ID, s peer.Stream) { _, _ = io.Copy(s, s) })
	return n, n.Join("a")
}

func TestBytesComeBackInOrderAndWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a := echoing(t)
		s, err := a.Open(t.Context(), "b", echo)
		if err != nil {
			t.Fatal(err)
		}
		sent := bytes.Repeat([]byte("0123456789"), 100_000)
		go func() {
			_, _ = s.Write(sent)
			_ = s.CloseWrite()
		}()
		got, err := io.ReadAll(s)
		if err != nil || !bytes.Equal(got, sent) {
			t.Fatalf("read %d bytes, %v; want %d", len(got), err, len(sent))
		}
	})
}

func TestFaultsBreakStreamsAndRefuseNewOnes(t *testing.T) {
	for name, fault := range map[string]func(*peertest.Network){
		"Kill": func(n *peertest.Network) { n.Kill("b") },
		"Cut":  func(n *peertest.Network) { n.Cut("b", "a") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, a := echoing(t)
				s, err := a.Open(t.Context(), "b", echo)
				if err != nil {
					t.Fatal(err)
				}
				fault(n)
				if _, err := s.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
					t.Errorf("Read = %v, want a broken stream", err)
				}
				if _, err := a.Open(t.Context(), "b", echo); !errors.Is(err, peer.ErrUnreachable) {
					t.Errorf("Open = %v, want ErrUnreachable", err)
				}
			})
		})
	}
}

func TestDeadlineEndsAWaitingRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a := echoing(t)
		s, err := a.Open(t.Context(), "b", echo)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read = %v, want a deadline", err)
		}
	})
}
