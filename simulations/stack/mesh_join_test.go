package stack

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
)

func TestMeshOfTwoTalks(t *testing.T) {
	inMeshes(t, lan(2), func(t *testing.T, w *meshes) {
		a := w.start(0).up()
		b := w.start(1, 0).up()
		a.Handle("/echo", func(_ context.Context, _ peer.ID, s peer.Stream) { _, _ = io.Copy(s, s) })
		took := w.within(5*time.Second, "meeting", func() bool { return a.sees(a, b) && b.sees(a, b) })
		t.Logf("met after %s", took)
		s, err := b.Open(t.Context(), a.Self(), "/echo")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write([]byte("hi")); err != nil {
			t.Fatal(err)
		}
		if err := s.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(s)
		if err != nil || string(got) != "hi" {
			t.Errorf("heard %q, %v", got, err)
		}
	})
}
