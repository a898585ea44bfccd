package execute_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"

	"github.com/buildnet/buildnet/node/nodetest"
)

// BenchmarkExecute is what an action that does next to nothing costs its client,
// with 32 under way: uploaded and executed, and asked of the cache.
func BenchmarkExecute(b *testing.B) {
	c := connect(b, nodetest.Start(b, 2, ""))
	b.Run("new", func(b *testing.B) {
		var n atomic.Int64
		b.SetParallelism(16)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				w := shell(fmt.Sprintf("echo %d of %d > out", n.Add(1), b.N), "out")
				if r := c.run(c.in("bench"), c.upload(w)); r.GetResult().GetExitCode() != 0 {
					b.Errorf("%v", r)
				}
			}
		})
	})
	act := c.upload(shell("cp in out", "out"))
	c.ok(c.run(c.in("bench"), act))
	b.Run("known", func(b *testing.B) {
		for b.Loop() {
			if _, err := c.ac.GetActionResult(c.Context(), &repb.GetActionResultRequest{ActionDigest: act}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
