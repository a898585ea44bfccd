package build

import (
	"errors"
	"testing"
	"time"

	"github.com/buildnet/buildnet/sched"
	"github.com/buildnet/buildnet/store/digest"
)

func blobsOfSize(n int, size int) (ds []digest.Digest) {
	for i := range n {
		ds = append(ds, digest.Of(digest.BLAKE3, append(make([]byte, size-1), byte(i))))
	}
	return ds
}

func TestAnHeirTakesLittleOfTheLines(t *testing.T) {
	s := newSparing(nil, nil)
	began := time.Now()
	if pause := s.wait(began); pause != 0 {
		t.Errorf("before its first fetch it waits for %v", pause)
	}
	now, busy := began, time.Duration(0)
	for range 40 {
		now = now.Add(s.wait(now))
		const took = 50 * time.Millisecond
		s.took(now, now.Add(took), 50_000)
		now, busy = now.Add(took), busy+took
	}
	if all := now.Sub(began); all < spareShare*(busy-100*time.Millisecond)-spareBurst {
		t.Errorf("a line was busy for %v of %v", busy, all)
	}
	if size := s.batch(); size != 100_000 {
		t.Errorf("of a megabyte a second it takes %d bytes at once", size)
	}
	if pause := s.wait(now.Add(time.Hour)); pause != 0 {
		t.Errorf("after an hour it waits for %v", pause)
	}
}

func TestANodeKeepsSoMuchForOthers(t *testing.T) {
	b := &Builder{opts: Options{KeepBytes: 1000}}
	one := &custodian{b: b, claimed: map[digest.Digest]struct{}{}}
	two := &custodian{b: b, claimed: map[digest.Digest]struct{}{}}
	ds := blobsOfSize(3, 400)
	for i, c := range []struct {
		by   *custodian
		ds   []digest.Digest
		want error
	}{
		{one, ds[:1], nil},
		{one, ds[:1], nil}, // has it
		{two, ds[:1], nil}, // for another build
		{one, ds[1:2], sched.ErrTooMuch},
		{one, ds[1:2], sched.ErrTooMuch},
	} {
		if err := c.by.claim(c.ds...); !errors.Is(err, c.want) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if kept := b.kept.Load(); kept != 800 {
		t.Errorf("it keeps %d bytes", kept)
	}
}
