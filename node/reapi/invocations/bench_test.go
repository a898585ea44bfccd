package invocations

import (
	"context"
	"testing"

	"github.com/buildnet/buildnet/store/memory"
)

// BenchmarkAnswered is what it costs to tell of one more result that was known.
func BenchmarkAnswered(b *testing.B) {
	book := newBook(&memory.KV{})
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- book.Run(ctx) }()
	m, n := said("one"), 0
	b.ReportAllocs()
	for b.Loop() {
		n++
		book.Answered(act(n%40_000), m, result(n%40_000, "other"))
	}
	cancel()
	if err := <-done; err != nil {
		b.Error(err)
	}
}
