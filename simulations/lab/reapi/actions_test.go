//go:build lab && linux

package reapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/buildnet/buildnet/simulations/lab"
	"github.com/buildnet/buildnet/simulations/measure"
)

const (
	// power is how many cores all hosts have together; what is left of two is the
	// client's.
	power = 1.8
	// crowd is how many actions are under way where a mesh is to have enough to do.
	crowd = 64
	// alone is how many actions are measured one after the other.
	alone = 300
	// longest bounds one series of actions.
	longest = 5 * time.Minute
)

// BenchmarkActions executes actions that do nothing, each of them new, on meshes whose
// hosts have 1.8 cores together: what an action takes its client beyond what it takes
// itself, one by one and with many under way, and where the CPU goes. The environment
// has REAPI_ACTIONS, REAPI_NODES (a list), REAPI_POWER and REAPI_CROWD for other than
// 10,000, 1, 4 and 8, 1.8 and 64.
func BenchmarkActions(b *testing.B) {
	lab.NeedQuota(b)
	table := lab.Table{{
		"server", "under way", "actions", "actions a second", "beyond the action, ms: p50", "p99", "the action itself, ms: p50",
		"CPU-ms an action: nodes", "sandboxes and actions", "client", "load",
	}}
	cores := number(b, "REAPI_POWER", power)
	for _, n := range sizes(b) {
		b.Run(fmt.Sprintf("nodes-%d", n), func(b *testing.B) {
			hosts, nodes := lab.Mesh(b, lab.New(b), n, cores/float64(n))
			m := &mesh{newClient(b, Node(hosts[0])), hosts, nodes}
			m.Name = fmt.Sprintf("buildnet, %d of %.2g cores", n, cores/float64(n))
			m.measure(b, &table)
		})
	}
	for _, p := range Others(b) {
		if !p.Executes {
			continue
		}
		b.Run(p.Name, func(b *testing.B) {
			h := lab.New(b).Host(cores)
			m := &mesh{newClient(b, p.Start(b, h)), []*lab.Host{h}, nil}
			m.Name = fmt.Sprintf("%s, 1 of %.2g cores", p.Name, cores)
			m.measure(b, &table)
		})
	}
	// The log of what has parts is not shown.
	fmt.Println("\n" + table.Markdown())
}

func sizes(b *testing.B) (ns []int) {
	b.Helper()
	list := os.Getenv("REAPI_NODES")
	if list == "" {
		return []int{1, 4, 8}
	}
	for _, word := range strings.Split(list, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 {
			b.Fatalf("REAPI_NODES=%q is no list of positive numbers", list)
		}
		ns = append(ns, n)
	}
	return ns
}

// mesh is what executes: a client of one of its servers, all hosts, and the nodes on
// them if they are ours.
type mesh struct {
	*client
	hosts []*lab.Host
	nodes []*lab.Node
}

func (m *mesh) measure(b *testing.B, table *lab.Table) {
	b.Helper()
	m.await(b)
	m.series(b, crowd, 10*len(m.hosts)) // programs are looked at, connections made
	lab.Settle(b, m.hosts)
	for _, s := range []struct{ at, count int }{
		{1, alone},
		{int(number(b, "REAPI_CROWD", crowd)), int(number(b, "REAPI_ACTIONS", 10_000))},
	} {
		r := m.series(b, s.at, s.count)
		cells := append([]string{m.Name, strconv.Itoa(s.at), strconv.Itoa(s.count)}, r.cells(len(m.nodes) > 0)...)
		table.Add(b, append(cells, machine(b))...)
	}
}

// await waits until there is who executes: a server may be up before its workers are.
func (m *mesh) await(b *testing.B) {
	b.Helper()
	name := fmt.Sprintf("await-%016x", rand.Uint64())
	ctx := m.in(name)
	actions, err := m.actions(ctx, name, 1)
	if err != nil {
		b.Fatal(err)
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(ready); ; <-tick.C {
		_, err := m.execute(ctx, actions[0])
		if err == nil {
			return
		}
		if status.Code(err) != codes.Unavailable || time.Now().After(deadline) {
			b.Fatalf("%s: %v", m.Name, err)
		}
	}
}

// ran is what a series of actions took.
type ran struct {
	count int
	wall  time.Duration
	// beyond and itself are milliseconds of each action: from the call to the answer
	// without what the worker says that the action ran, and that.
	beyond, itself []float64
	// all, nodes and client are CPU times: of the hosts, of the nodes' processes among
	// that, and of this process.
	all, nodes, client time.Duration
}

func (r ran) cells(ours bool) []string {
	each := func(t time.Duration) string { return fmt.Sprintf("%.2f", t.Seconds()*1000/float64(r.count)) }
	beyond, itself := measure.SpreadOf(r.beyond), measure.SpreadOf(r.itself)
	nodes, rest := each(r.nodes), each(r.all-r.nodes)
	if !ours {
		nodes, rest = "all "+each(r.all), ""
	}
	return []string{
		fmt.Sprintf("%.0f", float64(r.count)/r.wall.Seconds()), fmt.Sprintf("%.1f", beyond.Median), fmt.Sprintf("%.1f", beyond.P99),
		fmt.Sprintf("%.1f", itself.Median), nodes, rest, each(r.client),
	}
}

// series executes new actions, so many at once.
func (m *mesh) series(b *testing.B, at, count int) ran {
	b.Helper()
	name := fmt.Sprintf("bench-%016x", rand.Uint64())
	ctx := m.in(name)
	actions, err := m.actions(ctx, name, count)
	if err != nil {
		b.Fatal(err)
	}
	r := ran{count: count, beyond: make([]float64, count), itself: make([]float64, count)}
	before, began := m.used(), time.Now()
	done := pump(b, at, count, longest, func(i int) error {
		called := time.Now()
		itself, err := m.execute(ctx, actions[i])
		r.itself[i] = itself.Seconds() * 1000
		r.beyond[i] = time.Since(called).Seconds()*1000 - r.itself[i]
		return err
	})
	r.wall = time.Since(began)
	if done != count {
		b.Fatalf("%s: %d of %d actions were executed in %v", m.Name, done, count, r.wall)
	}
	after := m.used()
	r.all, r.nodes, r.client = after.all-before.all, after.nodes-before.nodes, after.client-before.client
	return r
}

func (m *mesh) used() (r ran) {
	for _, h := range m.hosts {
		r.all += h.Used()
	}
	for _, n := range m.nodes {
		r.nodes += n.Used()
	}
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		m.tb.Fatal(err)
	}
	r.client = time.Duration(u.Utime.Nano() + u.Stime.Nano())
	return r
}

var errCached = errors.New("the result was known")

// execute waits for an action, and returns how long its worker says that it ran.
func (m *mesh) execute(ctx context.Context, d *repb.Digest) (itself time.Duration, err error) {
	stream, err := m.exec.Execute(ctx, &repb.ExecuteRequest{ActionDigest: d})
	if err != nil {
		return 0, err
	}
	for {
		op, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return 0, errors.New("the stream ends before the action")
		}
		if err != nil {
			return 0, err
		}
		if !op.GetDone() {
			continue
		}
		var r repb.ExecuteResponse
		if err := op.GetResponse().UnmarshalTo(&r); err != nil {
			return 0, err
		}
		switch {
		case codes.Code(r.GetStatus().GetCode()) != codes.OK:
			return 0, status.FromProto(r.GetStatus()).Err()
		case r.GetResult().GetExitCode() != 0:
			return 0, fmt.Errorf("exit code %d", r.GetResult().GetExitCode())
		case r.GetCachedResult():
			return 0, errCached
		}
		m := r.GetResult().GetExecutionMetadata()
		return m.GetExecutionCompletedTimestamp().AsTime().Sub(m.GetExecutionStartTimestamp().AsTime()), nil
	}
}
