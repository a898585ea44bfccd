//go:build lab && linux

package reapi

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"

	"github.com/buildnet/buildnet/simulations/lab"
	"github.com/buildnet/buildnet/store/digest"
)

const (
	// callers is how many calls are under way at once.
	callers = 16
	// turn is how long a server is asked one thing before it is another's turn.
	turn = 2 * time.Second
	// kept is how many blobs of a size, and results, are there to be read.
	kept = 1000
	// asked is how many digests a question for missing blobs has.
	asked = 100
)

// call is something that a client asks again and again.
type call struct {
	name string
	// prepare makes what the calls need, and returns the call by its number.
	prepare func(c *client) func(ctx context.Context, i int) error
}

var calls = []call{
	{"ByteStream.Write, 1 KiB", writes(1 << 10)},
	{"ByteStream.Write, 16 KiB", writes(16 << 10)},
	{"ByteStream.Read, 1 KiB", reads(1 << 10)},
	{"ByteStream.Read, 16 KiB", reads(16 << 10)},
	{"FindMissingBlobs, half of 100 there", missing},
	{"GetActionResult, one output", results},
}

// BenchmarkBlobs takes the calls a second of each server, each alone on a host, and the
// CPU time that a call takes it: by turns of 2 s, REAPI_ROUNDS times each.
func BenchmarkBlobs(b *testing.B) {
	lab.NeedQuota(b)
	l := lab.New(b)
	node := l.Host(2)
	node.Up()
	ours := Node(node)
	ours.await(b)
	lab.Settle(b, []*lab.Host{node})
	servers := []*client{newClient(b, ours)}
	for _, p := range Others(b) {
		servers = append(servers, newClient(b, p.Start(b, l.Host(2))))
	}
	table := lab.Table{{"call", "server", "calls a second", "CPU of the server, µs a call", "load"}}
	for _, x := range calls {
		x.measure(b, &table, servers)
	}
	fmt.Println("\n" + table.Markdown()) // a benchmark's log is cut off
}

// taken is what one turn showed.
type taken struct{ rate, cpu float64 }

func (x call) measure(b *testing.B, table *lab.Table, servers []*client) {
	b.Helper()
	rounds := int(number(b, "REAPI_ROUNDS", 3))
	rates, cpus := make([][]float64, len(servers)), make([][]float64, len(servers))
	for range rounds {
		for i, c := range servers {
			t := x.turn(b, c)
			rates[i], cpus[i] = append(rates[i], t.rate), append(cpus[i], t.cpu)
		}
	}
	for i, c := range servers {
		table.Add(b, x.name, c.Name, lab.Spread(rates[i], "%.0f"), lab.Spread(cpus[i], "%.0f"), machine(b))
	}
}

func (x call) turn(b *testing.B, c *client) taken {
	b.Helper()
	one := x.prepare(c)
	before, began := c.Host.Used(), time.Now()
	n := pump(b, callers, math.MaxInt, turn, func(i int) error { return one(b.Context(), i) })
	if n == 0 {
		b.Fatalf("%s: %s: no call came back", x.name, c.Name)
	}
	took, used := time.Since(began), c.Host.Used()-before
	return taken{float64(n) / took.Seconds(), float64(used.Microseconds()) / float64(n)}
}

// writes are of blobs that the server has never seen.
func writes(size int) func(*client) func(context.Context, int) error {
	return func(c *client) func(context.Context, int) error {
		first := rand.Uint64()
		return func(ctx context.Context, i int) error {
			return c.write(ctx, fmt.Sprintf("%016x-%d", first, i), blob(size, first+uint64(i)))
		}
	}
}

// reads are of blobs that are there, one after the other.
func reads(size int) func(*client) func(context.Context, int) error {
	return func(c *client) func(context.Context, int) error {
		_, ds := c.keep(size)
		return func(ctx context.Context, i int) error { return c.read(ctx, ds[i%len(ds)]) }
	}
}

// missing asks for 100 digests, of which every other is there.
func missing(c *client) func(context.Context, int) error {
	first, ds := c.keep(1 << 10)
	r := &repb.FindMissingBlobsRequest{}
	for i := range asked / 2 {
		r.BlobDigests = append(r.BlobDigests, &repb.Digest{Hash: ds[i].Hex(), SizeBytes: ds[i].Size()}, digestOf(blob(1<<10, ^first-uint64(i))))
	}
	return func(ctx context.Context, _ int) error {
		answer, err := c.cas.FindMissingBlobs(ctx, r)
		if got := len(answer.GetMissingBlobDigests()); err == nil && got != asked/2 {
			err = fmt.Errorf("%d are missing, want %d", got, asked/2)
		}
		return err
	}
}

// results asks for results of actions, of which each has one output that is there.
func results(c *client) func(context.Context, int) error {
	first, ds := c.keep(1 << 10)
	actions, err := c.actions(c.tb.Context(), strconv.FormatUint(first, 16), len(ds))
	if err != nil {
		c.tb.Fatal(err)
	}
	pump(c.tb, callers, len(ds), time.Minute, func(i int) error {
		_, err := c.ac.UpdateActionResult(c.tb.Context(), &repb.UpdateActionResultRequest{ActionDigest: actions[i], ActionResult: &repb.ActionResult{
			OutputFiles: []*repb.OutputFile{{Path: "out", Digest: &repb.Digest{Hash: ds[i].Hex(), SizeBytes: ds[i].Size()}}},
		}})
		return err
	})
	return func(ctx context.Context, i int) error {
		_, err := c.ac.GetActionResult(ctx, &repb.GetActionResultRequest{ActionDigest: actions[i%len(actions)]})
		return err
	}
}

// keep uploads blobs that nobody has seen, the first of which has that number.
func (c *client) keep(size int) (first uint64, ds []digest.Digest) {
	c.tb.Helper()
	first = rand.Uint64()
	var blobs [][]byte
	for i := range kept {
		b := blob(size, first+uint64(i))
		blobs, ds = append(blobs, b), append(ds, digest.Of(digest.SHA256, b))
	}
	pump(c.tb, callers, kept, time.Minute, func(i int) error { return c.write(c.tb.Context(), fmt.Sprintf("%016x-%d", first, i), blobs[i]) })
	return first, ds
}

// blob is content that no other number has.
func blob(size int, number uint64) []byte {
	content := make([]byte, size)
	binary.BigEndian.PutUint64(content, number)
	return content
}
