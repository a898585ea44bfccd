package stack

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/buildnet/buildnet/mesh"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/simulations/network"
	"github.com/buildnet/buildnet/simulations/packets"
)

const (
	// meshPort is where every node listens.
	meshPort = 7946
	// drain is longer than anything that a stopped node leaves behind: probes
	// run to their deadline, four seconds.
	drain = 10 * time.Second
)

// meshes are real mesh nodes, one on each host of a network.
type meshes struct {
	t     *testing.T
	net   *packets.Net
	creds mesh.Credentials
	nodes []*meshNode
}

// meshNode is a running mesh.Mesh.
type meshNode struct {
	*mesh.Mesh
	t     *testing.T
	host  *packets.Host
	stop  context.CancelFunc
	ended chan error
}

// lan is n hosts on one Ethernet.
func lan(n int) packets.Options {
	return packets.Options{Seed: 1, Config: network.Config{
		Sites: []network.Site{{Name: "lan", Local: network.Path{
			Latency: 200 * time.Microsecond, Jitter: 100 * time.Microsecond, Bandwidth: 125e6,
		}}},
		Site: make([]int, n),
	}}
}

// inMeshes runs f in a bubble that has a network and no nodes yet. All ends
// with f.
func inMeshes(t *testing.T, o packets.Options, f func(*testing.T, *meshes)) {
	synctest.Test(t, func(t *testing.T) {
		net, err := packets.New(o)
		if err != nil {
			t.Fatal(err)
		}
		w := &meshes{t: t, net: net, creds: mesh.NewCredentials("stack"), nodes: make([]*meshNode, len(o.Site))}
		defer func() {
			for _, n := range w.nodes {
				if n != nil {
					n.stop()
				}
			}
			for _, n := range w.nodes {
				if n != nil {
					<-n.ended
				}
			}
			if err := net.Close(); err != nil {
				t.Error(err)
			}
			time.Sleep(drain) // the clock stands still once this function returns
		}()
		f(t, w)
	})
}

// start runs a node on host i, without waiting for it. It joins by the seeds.
func (w *meshes) start(i int, seeds ...int) *meshNode {
	w.t.Helper()
	id, err := mesh.LoadOrCreateIdentity(w.t.TempDir())
	if err != nil {
		w.t.Fatal(err)
	}
	o := mesh.Options{
		Identity: id, Credentials: w.creds, Host: "h", Discovery: mesh.ByAddress, Sockets: w.net.Host(i),
		Listen:       netip.AddrPortFrom(netip.IPv4Unspecified(), meshPort),
		Capabilities: peer.Capabilities{BPU: 1, Cores: 2, Slots: 2, OS: "linux", Arch: "amd64"},
	}
	for _, s := range seeds {
		o.Seeds = append(o.Seeds, netip.AddrPortFrom(w.net.Host(s).Addr(), meshPort))
	}
	m, err := mesh.New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	m.Handle(echoProtocol, func(_ context.Context, _ peer.ID, s peer.Stream) { _, _ = io.Copy(s, s) })
	n := &meshNode{Mesh: m, t: w.t, host: w.net.Host(i), stop: cancel, ended: make(chan error, 1)}
	go func() {
		n.ended <- m.Run(ctx)
		close(n.ended)
	}()
	w.nodes[i] = n
	return n
}

// up waits until a node is a member.
func (n *meshNode) up() *meshNode {
	n.t.Helper()
	select {
	case <-n.Ready():
	case err := <-n.ended:
		n.t.Fatalf("Run: %v", err)
	}
	return n
}

// sees says whether a node lists exactly these as alive.
func (n *meshNode) sees(want ...*meshNode) bool {
	alive := map[peer.ID]bool{}
	for _, m := range n.Members() {
		if m.State == peer.Alive {
			alive[m.ID] = true
		}
	}
	if len(alive) != len(want) {
		return false
	}
	for _, x := range want {
		if !alive[x.Self()] {
			return false
		}
	}
	return true
}

// pass lets time pass in the bubble.
func pass(d time.Duration) { time.Sleep(d) }

// within waits, in steps of virtual time, and returns how long it took.
func (w *meshes) within(limit time.Duration, what string, ok func() bool) time.Duration {
	w.t.Helper()
	began := time.Now()
	for !ok() {
		if time.Since(began) > limit {
			w.t.Fatalf("no %s within %s", what, limit)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(began)
}

// mesh runs all hosts as members of one mesh: the others join by the first,
// all at once.
func (w *meshes) mesh() {
	w.t.Helper()
	w.start(0).up()
	for i := 1; i < len(w.nodes); i++ {
		w.start(i, 0)
	}
	for _, n := range w.nodes {
		n.up()
	}
}

// see says whether each of by lists exactly want as alive.
func (w *meshes) see(by, want []*meshNode) bool {
	for _, n := range by {
		if !n.sees(want...) {
			return false
		}
	}
	return true
}

// whole says whether all see exactly all.
func (w *meshes) whole() bool { return w.see(w.nodes, w.nodes) }

// record notes every change that any node sees, from now on.
type record struct {
	mu      sync.Mutex
	changes []change
}

type change struct {
	at    time.Time
	by    int
	who   peer.ID
	state peer.State
}

func (w *meshes) record() *record {
	r := &record{}
	for i, n := range w.nodes {
		if n == nil {
			continue
		}
		events, cancel := n.Subscribe()
		go func() {
			defer cancel()
			for {
				select {
				case e := <-events:
					r.mu.Lock()
					r.changes = append(r.changes, change{time.Now(), i, e.Member.ID, e.Member.State})
					r.mu.Unlock()
				case <-w.t.Context().Done():
					return
				}
			}
		}()
	}
	return r
}

func (r *record) all() []change {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.changes)
}

// span is when the first and the last node saw one in a state, and how many
// did; only those below a number count.
func (r *record) span(who peer.ID, state peer.State, below int) (first, last time.Time, n int) {
	seen := map[int]bool{}
	for _, c := range r.all() {
		if c.who != who || c.state != state || c.by >= below || seen[c.by] {
			continue
		}
		if n == 0 {
			first = c.at
		}
		seen[c.by], last = true, c.at
		n++
	}
	return first, last, n
}

// number is that of the host that one runs on, -1 if none does.
func (w *meshes) number(id peer.ID) int {
	return slices.IndexFunc(w.nodes, func(n *meshNode) bool { return n != nil && n.Self() == id })
}

const echoProtocol = "/echo"

// hears opens a stream to another node and compares what comes back.
func (n *meshNode) hears(other *meshNode) error {
	s, err := n.Open(n.t.Context(), other.Self(), echoProtocol)
	if err != nil {
		return err
	}
	defer func() { _ = s.Reset() }()
	if err := s.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if _, err := s.Write([]byte("hi")); err != nil {
		return err
	}
	if err := s.CloseWrite(); err != nil {
		return err
	}
	got, err := io.ReadAll(s)
	if err == nil && string(got) != "hi" {
		err = fmt.Errorf("heard %q", got)
	}
	return err
}
