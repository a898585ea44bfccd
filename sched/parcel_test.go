package sched

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store/digest"
)

func assembled(n, size int) *action.Assembled {
	b := action.Blob{Content: bytes.Repeat([]byte{1}, size)}
	return &action.Assembled{Action: digest.Of(digest.BLAKE3, fmt.Append(nil, n)), Blobs: []action.Blob{b}}
}

func TestAParcelIsKeptUntilEnoughOthersHaveCome(t *testing.T) {
	var p parcels
	first := assembled(0, maxParcel)
	saved := 0
	save := func(going map[digest.Digest][][]byte) {
		saved++
		if len(going[first.Action]) != 1 || p.of(first.Action) == nil {
			t.Error("it is not among what has to go, or is gone already")
		}
	}
	p.keep(first, save)
	n := 1
	for ; len(p.of(first.Action)) == 1; n++ {
		if n > 2*maxParcels/maxParcel {
			t.Fatalf("it is still there after %d of its size", n)
		}
		if saved > 0 {
			t.Fatal("what is not forgotten is to be saved")
		}
		p.keep(assembled(n, maxParcel), save)
	}
	if n < maxParcels/maxParcel {
		t.Errorf("it is gone after %d of its size", n)
	}
	if saved != 1 {
		t.Errorf("it was to be saved %d times", saved)
	}
	if got := p.of(assembled(n-1, maxParcel).Action); len(got) != 1 || len(got[0]) != maxParcel {
		t.Errorf("the latest has %d messages", len(got))
	}
}

func TestLargeActionsTravelAsBlobsDo(t *testing.T) {
	many := assembled(1, 1)
	for range maxParcelled {
		many.Blobs = append(many.Blobs, many.Blobs[0])
	}
	for _, a := range []*action.Assembled{assembled(0, maxParcel+1), many} {
		if fits(a) {
			t.Errorf("%d messages, the first of %d bytes, are a parcel", len(a.Blobs), len(a.Blobs[0].Content))
		}
	}
	if !fits(assembled(0, maxParcel)) {
		t.Error("a parcel of the most that it may have is refused")
	}
}
