package stack

import (
	"context"
	"flag"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/store/digest"
)

// What these measure is what the models of membership and look-ups in the
// seeded world are made of (package setting).
var (
	measure      = flag.Bool("measure", false, "measure the real stack: go test -run Measure -v -measure")
	measureNodes = flag.String("measure-nodes", "5,10,20", "sizes of mesh to measure")
	measureRuns  = flag.Int("measure-runs", 5, "runs of each size")
)

func sizes(t *testing.T) (all []int) {
	t.Helper()
	if !*measure {
		t.Skip("takes minutes; -measure runs it")
	}
	for f := range strings.SplitSeq(*measureNodes, ",") {
		n, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, n)
	}
	return all
}

// kinds counts what nodes send, by kind.
type kinds struct {
	mu sync.Mutex
	traffic
}

type traffic struct {
	swim, hello, stun, quic float64 // bytes
	// full is what is in QUIC packets that carry data: neither bare
	// acknowledgements nor signs of life.
	full float64
}

// barePacket is longer than a QUIC packet without data.
const barePacket = 80

func (k *kinds) watch(_ int, _ netip.AddrPort, data []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := float64(len(data))
	switch {
	case data[0] == 0x20:
		k.swim += n
	case data[0] == 0x21:
		k.hello += n
	case data[0] < 4:
		k.stun += n
	default:
		k.quic += n
		if len(data) > barePacket {
			k.full += n
		}
	}
}

func (k *kinds) now() traffic {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.traffic
}

// figures are what the runs of one size gave.
type figures map[string][]float64

func (f figures) add(name string, x float64) { f[name] = append(f[name], x) }

func (f figures) seconds(name string, d time.Duration) { f.add(name, d.Seconds()) }

func (f figures) String() string {
	var b strings.Builder
	for _, name := range []string{
		"storm: all see all [s]", "join: last [s]", "leave: gone for all [s]", "leave: left for all [s]", "death: first [s]", "death: last [s]",
		"change: last [s]", "change: SWIM bytes a node", "idle: SWIM B/s a node", "idle: SWIM packets/s a node",
		"idle: QUIC B/s a node", "idle: bytes a push/pull", "idle: hello and STUN B/s a node",
		"lookup [round trips]", "lookup: peers in a table",
	} {
		if all := f[name]; len(all) > 0 {
			slices.Sort(all)
			fmt.Fprintf(&b, "\n  %-34s median %9.2f  least %9.2f  most %9.2f  of %d", name, all[len(all)/2], all[0], all[len(all)-1], len(all))
		}
	}
	return b.String()
}

func TestMeasureMembership(t *testing.T) {
	for _, n := range sizes(t) {
		f := figures{}
		for run := range *measureRuns {
			measureMesh(t, n, uint64(run), f)
		}
		t.Logf("%d nodes:%s", n, f)
	}
}

// TestMeasureStorms measures how long it takes until all see all when all come
// at once: gossip may miss somebody.
func TestMeasureStorms(t *testing.T) {
	for _, n := range sizes(t) {
		f := figures{}
		for run := range *measureRuns {
			o := lan(n)
			o.Seed = uint64(run)
			inMeshes(t, o, func(_ *testing.T, w *meshes) {
				w.mesh()
				f.seconds("storm: all see all [s]", w.within(meetWithin, "whole mesh", w.whole))
			})
		}
		late := 0
		for _, s := range f["storm: all see all [s]"] {
			if s > spreadWithin.Seconds() {
				late++
			}
		}
		t.Logf("%d nodes, %d storms of %d took more than %s:%s", n, late, *measureRuns, spreadWithin, f)
	}
}

// measureMesh lets a mesh of n live through one event of each kind.
func measureMesh(t *testing.T, n int, seed uint64, f figures) {
	k := &kinds{}
	o := lan(n + 1)
	o.Seed, o.Watch = seed, k.watch
	inMeshes(t, o, func(_ *testing.T, w *meshes) {
		spare := len(w.nodes) - 1
		w.nodes = w.nodes[:spare]
		w.mesh()
		f.seconds("storm: all see all [s]", w.within(meetWithin, "whole mesh", w.whole))
		pass(2 * time.Minute)
		w.measureIdle(k, f)
		w.measureChange(k, f)
		w.nodes = append(w.nodes, nil)
		w.measureComing(spare, f)
		w.measureDeath(f)
	})
}

func (w *meshes) measureIdle(k *kinds, f figures) {
	const long = 10 * time.Minute
	nodes := float64(len(w.nodes))
	packets := func() (n float64) {
		for _, x := range w.nodes {
			n += float64(x.host.Sent().Packets)
		}
		return n
	}
	before, sent := k.now(), packets()
	pass(long)
	after := k.now()
	rate := func(bytes float64) float64 { return bytes / long.Seconds() / nodes }
	f.add("idle: SWIM B/s a node", rate(after.swim-before.swim))
	f.add("idle: SWIM packets/s a node", rate(packets()-sent))
	f.add("idle: QUIC B/s a node", rate(after.quic-before.quic))
	f.add("idle: hello and STUN B/s a node", rate(after.hello+after.stun-before.hello-before.stun))
	// memberlist lengthens the time between two by log2 beyond 32 members.
	every := 30 * time.Second.Seconds() * max(1, math.Ceil(math.Log2(nodes))-4)
	f.add("idle: bytes a push/pull", rate(after.full-before.full)*every)
}

func (w *meshes) measureChange(k *kinds, f figures) {
	const quiet = 5 * time.Second
	before := k.now().swim
	pass(quiet)
	idle := k.now().swim - before
	r := w.record()
	before = k.now().swim
	began := time.Now()
	w.nodes[1].SetCapabilities(peer.Capabilities{BPU: 2, Cores: 2, Slots: 2, OS: "linux", Arch: "amd64"})
	pass(quiet)
	f.add("change: SWIM bytes a node", (k.now().swim-before-idle)/float64(len(w.nodes)))
	_, last, _ := r.span(w.nodes[1].Self(), peer.Alive, len(w.nodes))
	f.seconds("change: last [s]", last.Sub(began))
}

// measureComing lets a node come, and leave.
func (w *meshes) measureComing(host int, f figures) {
	r := w.record()
	began := time.Now()
	n := w.start(host, 0).up()
	pass(10 * time.Second)
	if _, last, seen := r.span(n.Self(), peer.Alive, host); seen == host {
		f.seconds("join: last [s]", last.Sub(began))
	}
	began = time.Now()
	if err := n.Leave(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	n.stop()
	rest := w.nodes[:host]
	w.within(meetWithin, "parting", func() bool { return w.see(rest, rest) })
	f.seconds("leave: gone for all [s]", time.Since(began))
	pass(meetWithin)
	if _, last, seen := r.span(n.Self(), peer.Left, host); seen == host {
		f.seconds("leave: left for all [s]", last.Sub(began))
	}
}

func (w *meshes) measureDeath(f figures) {
	r := w.record()
	began := time.Now()
	dead := len(w.nodes) - 2
	w.nodes[dead].host.Off()
	pass(time.Minute)
	first, last, seen := r.span(w.nodes[dead].Self(), peer.Failed, dead)
	if seen == dead {
		f.seconds("death: first [s]", first.Sub(began))
		f.seconds("death: last [s]", last.Sub(began))
	}
}

func TestMeasureLookup(t *testing.T) {
	const roundTrip = 20 * time.Millisecond
	for _, n := range sizes(t) {
		f := figures{}
		inMeshes(t, wan(n, roundTrip/2, 0), func(t *testing.T, w *meshes) {
			w.mesh()
			w.within(meetWithin, "whole mesh", w.whole)
			all := w.kads()
			pass(time.Minute)
			var ds []digest.Digest
			for i, d := range all {
				ds = append(ds, digest.Of(digest.BLAKE3, fmt.Append(nil, i)))
				d.Provide(ds[i])
			}
			pass(10 * time.Second)
			for i, d := range all {
				f.add("lookup: peers in a table", float64(d.Peers()))
				for j := 1; j <= 4; j++ {
					began := time.Now()
					if ids := d.Holders(context.Background(), ds[(i+j)%n], 1); len(ids) != 1 {
						t.Errorf("node %d finds %v", i, ids)
					}
					f.add("lookup [round trips]", float64(time.Since(began))/float64(roundTrip))
				}
			}
		})
		t.Logf("%d nodes:%s", n, f)
	}
}
