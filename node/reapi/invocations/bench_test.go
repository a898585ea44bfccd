package invocations

import (
	"context"
	"testing"

	"github.com/buildnet/buildnet/store/memory"
)

// BenchmarkAnswered is what it costs to tell of one more result that was known, of steps
// with names of their own and of such as want the same one.
func BenchmarkAnswered(b *testing.B) {
	for name, made := range map[string]func(int) int{
		"names": func(n int) int { return n },
		"name":  func(int) int { return 0 },
	} {
		b.Run(name, func(b *testing.B) { answered(b, made) })
	}
}

func answered(b *testing.B, made func(int) int) {
	book := newBook(&memory.KV{})
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- book.Run(ctx) }()
	m, n := said("one"), 0
	b.ReportAllocs()
	for b.Loop() {
		n++
		book.Answered(act(n%40_000), m, result(made(n%40_000), "other"))
	}
	cancel()
	if err := <-done; err != nil {
		b.Error(err)
	}
}
