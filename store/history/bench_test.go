package history_test

import (
	"strings"
	"testing"
	"time"

	"github.com/buildnet/buildnet/store/disk"
	"github.com/buildnet/buildnet/store/history"
)

// BenchmarkPut keeps the record of a build that had nothing to do, in a full
// history: it is a part of the time of every instant skip.
func BenchmarkPut(b *testing.B) {
	s, err := disk.Open(b.TempDir(), disk.Options{MaxBytes: 1 << 30})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	h := history.New(s.CacheKV("history"))
	r := record(0)
	r.Summary = []byte(`{"x":"` + strings.Repeat("x", 500) + `"}`)
	i := 0
	put := func() {
		i++
		r.ID, r.Started = record(i).ID, epoch.Add(time.Duration(i)*time.Second)
		if err := h.Put(r); err != nil {
			b.Fatal(err)
		}
	}
	for range history.MaxBuilds {
		put()
	}
	for b.Loop() {
		put()
	}
}
