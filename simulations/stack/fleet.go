// Package stack runs whole nodes in virtual time: package node with its mesh,
// exchange, scheduler and store on disk, many in one bubble of testing/synctest
// on a network of package packets. Real are all parts of them but three: the
// sockets, the power of the machine, and the executor, which takes virtual time
// instead of running programs. Events of one run come in no fixed order, so
// tests hold invariants and bounds against it, and no traces. Start reading at
// Run, then at Machine.Build.
package stack

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/buildnet/buildnet/node"
	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/toolchain"
	"github.com/buildnet/buildnet/simulations/packets"
	"github.com/buildnet/buildnet/store"
)

const (
	// port is where every node listens.
	port = 7946
	// readyTime bounds the start of a node: it looks 10 s for a member.
	readyTime = 15 * time.Second
	// afterwards is longer than anything that a stopped node leaves behind, such
	// as timers of connections.
	afterwards = time.Minute
	// tool is the one program of every machine.
	tool = "work"
)

// Options are a fleet of nodes.
type Options struct {
	// Net has a host for each node.
	Net packets.Options
	// Slots of each node; 0 is 2.
	Slots int
	// BPU of a node's cores; nil is 1 for all.
	BPU func(node int) float64
	// Settings is the node.yaml of a node; nil is none for all.
	Settings func(node int) string
	// Log takes what nodes say at Level or above; nil drops it.
	Log   io.Writer
	Level slog.Level
}

// Fleet is nodes in one bubble. Its methods may be called concurrently.
type Fleet struct {
	t        testing.TB
	opts     Options
	net      *packets.Net
	programs string // the directory of tool
	ledger   ledger

	mu       sync.Mutex
	machines []*Machine // nil before its start
	token    string
}

// Machine is one running node.
type Machine struct {
	// Number is the place of its host in the network.
	Number int
	Host   *packets.Host
	Node   *node.Node
	// Born is when it was started, Ready when it took work.
	Born, Ready time.Time

	fleet *Fleet
	stop  context.CancelFunc
	ended chan error
}

// Run runs f in a bubble with a fleet of which no node has started, and ends
// all of it after f.
func Run(t *testing.T, o Options, f func(t *testing.T, fleet *Fleet)) {
	t.Helper()
	if o.Slots == 0 {
		o.Slots = 2
	}
	if o.BPU == nil {
		o.BPU = func(int) float64 { return 1 }
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	synctest.Test(t, func(t *testing.T) {
		net, err := packets.New(o.Net)
		if err != nil {
			t.Fatal(err)
		}
		fleet := &Fleet{t: t, opts: o, net: net, programs: programs(t), machines: make([]*Machine, len(o.Net.Site))}
		defer fleet.close()
		f(t, fleet)
	})
}

// programs makes a directory with tool in it.
func programs(t testing.TB) string {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, tool), []byte("does nothing\n"), 0o755); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	return dir
}

// Net is the network under the nodes.
func (f *Fleet) Net() *packets.Net { return f.net }

// Machine returns a node that has started.
func (f *Fleet) Machine(number int) *Machine {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.machines[number]
}

// Machines returns the nodes that have started, by number.
func (f *Fleet) Machines() []*Machine {
	f.mu.Lock()
	defer f.mu.Unlock()
	var ms []*Machine
	for _, m := range f.machines {
		if m != nil {
			ms = append(ms, m)
		}
	}
	return ms
}

// StartAll founds the mesh with node 0, lets all others join at once, and
// returns when all are ready.
func (f *Fleet) StartAll() {
	f.t.Helper()
	f.Start(0)
	var started sync.WaitGroup
	for i := 1; i < len(f.machines); i++ {
		started.Go(func() { f.Start(i) })
	}
	started.Wait()
}

// Start starts a node and returns when it takes work: the first founds the
// mesh, the others join with its invitation.
func (f *Fleet) Start(number int) *Machine {
	f.t.Helper()
	token := f.invitation()
	n, err := node.New(f.config(number, token))
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(f.t.Context()))
	m := &Machine{
		Number: number, Host: f.net.Host(number), Node: n, Born: time.Now(), fleet: f, stop: stop, ended: make(chan error, 1),
	}
	go func() { m.ended <- n.Run(ctx) }()
	f.mu.Lock()
	f.machines[number] = m
	f.mu.Unlock()
	select {
	case <-n.Ready():
		m.Ready = time.Now()
	case err := <-m.ended:
		m.ended <- err
		f.t.Errorf("node %d ended before it was ready: %v", number, err)
	case <-time.After(readyTime):
		f.t.Errorf("node %d is not ready after %v", number, readyTime)
	}
	return m
}

// invitation is a token of the founder, "" before there is one.
func (f *Fleet) invitation() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.token == "" && f.machines[0] != nil {
		i, err := f.machines[0].Node.API().Invite(f.t.Context(), api.InviteRequest{Reach: api.Everywhere})
		if err != nil {
			f.t.Errorf("invite: %v", err)
		}
		f.token = i.Token
	}
	return f.token
}

func (f *Fleet) config(number int, token string) node.Config {
	bpu := f.opts.BPU(number)
	host := f.net.Host(number)
	c := node.Config{
		Home: f.home(number), Listen: netip.AddrPortFrom(netip.IPv4Unspecified(), port).String(),
		Slots: f.opts.Slots, Join: token,
		Log: slog.New(slog.NewTextHandler(f.opts.Log, &slog.HandlerOptions{Level: f.opts.Level})).With("node", number),
		Machine: node.Machine{
			Name: fmt.Sprintf("node-%d", number), Sockets: host, Power: power(bpu), Cores: float64(f.opts.Slots), Deaf: true,
			Toolchains: toolchain.New(toolchain.Options{Path: f.programs, System: f.programs}),
			Executor: func(blobs store.Blobs) (node.Executor, error) {
				return &executor{node: number, bpu: bpu, blobs: blobs, ledger: &f.ledger}, nil
			},
		},
	}
	return c
}

// home makes the home of a node.
func (f *Fleet) home(number int) string {
	home := filepath.Join(f.t.TempDir(), "home")
	if f.opts.Settings == nil {
		return home
	}
	err := os.Mkdir(home, 0o700)
	if err == nil {
		err = os.WriteFile(filepath.Join(home, "node.yaml"), []byte(f.opts.Settings(number)), 0o600)
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return home
}

// Pass lets virtual time pass.
func (f *Fleet) Pass(d time.Duration) { time.Sleep(d) }

// close stops what runs and waits until nothing of it is left.
func (f *Fleet) close() {
	machines := f.Machines()
	for _, m := range machines {
		m.stop()
	}
	for _, m := range machines {
		if err := <-m.ended; err != nil {
			f.t.Errorf("node %d: %v", m.Number, err)
		}
	}
	if err := f.net.Close(); err != nil {
		f.t.Error(err)
	}
	time.Sleep(afterwards)
}

// power is a machine whose speed is known.
type power float64

// BPU implements node.Power.
func (p power) BPU() float64 { return float64(p) }

// Measure implements node.Power.
func (p power) Measure(context.Context) (float64, error) { return float64(p), nil }

// Refine implements node.Power.
func (p power) Refine(context.Context) (float64, error) { return float64(p), nil }
