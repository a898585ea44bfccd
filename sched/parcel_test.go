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
	if !p.keep(first) {
		t.Fatal("a parcel of the most that it may have is refused")
	}
	n := 1
	for ; len(p.of(first.Action)) == 1; n++ {
		if n > 2*maxParcels/maxParcel {
			t.Fatalf("it is still there after %d of its size", n)
		}
		p.keep(assembled(n, maxParcel))
	}
	if n < maxParcels/maxParcel {
		t.Errorf("it is gone after %d of its size", n)
	}
	if got := p.of(assembled(n-1, maxParcel).Action); len(got) != 1 || len(got[0]) != maxParcel {
		t.Errorf("the latest has %d messages", len(got))
	}
}

func TestLargeActionsTravelAsBlobsDo(t *testing.T) {
	var p parcels
	many := assembled(1, 1)
	for range maxParcelled {
		many.Blobs = append(many.Blobs, many.Blobs[0])
	}
	for _, a := range []*action.Assembled{assembled(0, maxParcel+1), many} {
		if p.keep(a) || p.of(a.Action) != nil {
			t.Errorf("%d messages, the first of %d bytes, are a parcel", len(a.Blobs), len(a.Blobs[0].Content))
		}
	}
}
