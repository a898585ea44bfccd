package simulations

import (
	"testing"

	"github.com/buildnet/buildnet/simulations/trace"
	"github.com/buildnet/buildnet/simulations/workload"
)

func TestTheContentOfBlobsIsNoMessage(t *testing.T) {
	// Small blobs, a large one in one piece, and one that comes in chunks.
	for _, bytes := range []int64{16 << 10, 900 << 10, 2 << 20, 12 << 20} {
		g := workload.Wide(30)
		for i := range g.Steps {
			g.Steps[i].InputBytes = bytes
		}
		w := watching(trace.Sent)
		o := run(t, office(4, g), w)
		var told, blobs, messages int64
		for _, e := range w.of(trace.Sent) {
			told += e.Value
		}
		for node := range o.Traffic.Blobs {
			blobs, messages = blobs+o.Traffic.Blobs[node], messages+o.Traffic.MessageBytes[node]
		}
		if blobs != told || blobs < 10*bytes {
			t.Errorf("inputs of %d: %d bytes of blobs, the events tell of %d", bytes, blobs, told)
		}
		if messages < 10_000 || messages > 500_000 {
			t.Errorf("inputs of %d: %d bytes of messages beside %d of blobs", bytes, messages, blobs)
		}
	}
}
