package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/buildnet/buildnet/dht"
	"github.com/buildnet/buildnet/mesh"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/node/build"
	"github.com/buildnet/buildnet/node/collect"
	"github.com/buildnet/buildnet/node/config"
	"github.com/buildnet/buildnet/node/hearsay"
	"github.com/buildnet/buildnet/node/host"
	"github.com/buildnet/buildnet/node/invocation"
	"github.com/buildnet/buildnet/node/profile/shelf"
	"github.com/buildnet/buildnet/node/reapi/invocations"
	"github.com/buildnet/buildnet/node/reapi/remake"
	"github.com/buildnet/buildnet/node/toolchain"
	"github.com/buildnet/buildnet/node/worktree"
	"github.com/buildnet/buildnet/sched"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/registry"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store/actions"
	"github.com/buildnet/buildnet/store/costs"
	"github.com/buildnet/buildnet/store/dead"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/disk"
	"github.com/buildnet/buildnet/store/history"
	"github.com/buildnet/buildnet/store/share"
)

// maxTrees is how many working trees are remembered: those that were built
// last.
const maxTrees = 1000

const (
	// sharedPart of the store, one of so many, is leased to builds of the mesh at most.
	// Beside it there are a half for what was promised, and a quarter for the builds of
	// others that this node may go on with.
	sharedPart = 8
	// maxShared bounds the memory of these leases to some 75 MB.
	maxShared = 500_000
)

// parts are what a node is made of.
type parts struct {
	store      *disk.Store
	handed     *handed // as the executor sees it
	actions    *actions.Cache
	private    *actions.Cache // of builds that give their results to nobody
	uploads    *actions.Cache // what clients said came of their actions
	history    *history.History
	dead       *dead.Letters
	meter      Power
	exec       Executor
	toolchains *toolchain.Prober
	// clientTools is nil where no clients of the Remote Execution API are served.
	clientTools atomic.Pointer[clientTools]
	mesh        *mesh.Mesh
	dht         *dht.DHT
	registry    *registry.Registry
	hearsay     *hearsay.Hearsay
	sched       *sched.Service
	runner      *runner
	owner       *owner
	watcher     *worktree.Watcher
	builder     *build.Builder
	profiles    *profiles
	collector   *collect.Collector
	share       *share.Share     // of the store, for what builds need for a while
	tenants     *collect.Tenants // of that share
	remaker     *remake.Remaker  // of what clients lack; nil without a front for them

	invocations *invocation.Service
	clients     *invocations.Book // of the Remote Execution API
	costs       *costs.Book

	credentials mesh.Credentials
	founder     bool // the mesh was made by this start

	known chains
	cores float64
	slots int
}

func (p *parts) bpu() float64 { return p.meter.BPU() }

// slotBPU is what an action gets when all slots are taken.
func (p *parts) slotBPU() float64 {
	return p.bpu() * peer.Capabilities{Cores: p.cores, Slots: p.slots}.Share()
}

// assemble makes the parts, in the order in which they need each other.
func (n *Node) assemble(ctx context.Context, settings config.Settings, blobs *disk.Store) (*parts, error) {
	p := &parts{
		store: blobs, actions: actions.New(blobs.CacheKV("actions")), private: actions.New(blobs.CacheKV("private")), uploads: actions.New(blobs.CacheKV("reapi-uploads")), history: history.New(blobs.CacheKV("history")),
		dead:  dead.New(blobs.KV("dead")),
		meter: n.power(blobs), cores: n.cfg.Machine.cores(), slots: n.cfg.Slots,
		toolchains: n.prober(settings, blobs),
		watcher:    worktree.NewWatcher(filepath.Join(n.cfg.Home, "watch"), n.cfg.Log),
	}
	if p.slots == 0 {
		p.slots = host.Slots()
	}
	if _, err := p.meter.Measure(ctx); err != nil {
		return nil, fmt.Errorf("measure this machine: %w", err)
	}
	var err error
	p.owner = n.newOwner(p, settings)
	p.handed = newHanded(blobs)
	p.exec, err = n.executor(settings, p.handed, p.owner)
	if err != nil {
		return nil, err
	}
	id, err := n.join(p)
	if err != nil {
		p.endExec()
		return nil, err
	}
	if err := n.connect(p, id, settings); err != nil {
		p.endExec()
		return nil, errors.Join(err, p.mesh.Close())
	}
	return p, nil
}

// endExec ends what the executor has started to start actions with.
func (p *parts) endExec() {
	if e, ok := p.exec.(interface{ Close() }); ok {
		e.Close()
	}
}

// join makes the node's part in its mesh.
func (n *Node) join(p *parts) (mesh.Identity, error) {
	id, credentials, seeds, err := n.membership(p)
	if err != nil {
		return id, err
	}
	p.credentials = credentials
	name := n.cfg.Machine.name()
	opts := mesh.Options{
		Identity: id, Credentials: credentials, Home: n.cfg.Home, Listen: n.listen(), Host: name, Seeds: seeds, Log: n.cfg.Log,
		Capabilities: p.capabilities(nil), Sockets: n.cfg.Machine.Sockets,
	}
	if n.cfg.Machine.Deaf {
		opts.Discovery = mesh.ByAddress
	}
	switch {
	case n.cfg.Ephemeral:
		opts.Look = JoinWithin
	case n.cfg.Join != "" && len(seeds) == 0:
		opts.Look = lookOnLAN
	case p.founder:
		opts.Look = -1 // nobody else can be in it
	}
	p.mesh, err = mesh.New(opts)
	if err != nil && n.cfg.Ephemeral {
		// Another home's node has the port; a build needs none in particular.
		opts.Listen = netip.AddrPortFrom(opts.Listen.Addr(), 0)
		p.mesh, err = mesh.New(opts)
	}
	if err != nil {
		return id, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	n.mu.Lock()
	n.info = Info{Peer: p.mesh.Self(), Name: name, Listen: p.mesh.Addr(), Mesh: credentials.Mesh, Slots: p.slots, BPU: p.bpu()}
	n.mu.Unlock()
	return id, nil
}

func (n *Node) listen() netip.AddrPort { return netip.MustParseAddrPort(n.cfg.Listen) }

// lookOnLAN is how long a node that was invited without an address looks for a
// member before it is ready alone.
const lookOnLAN = 3 * time.Second

// capabilities are what the mesh is told of this machine.
func (p *parts) capabilities(toolchains []string) peer.Capabilities {
	return peer.Capabilities{
		BPU: round(p.bpu()), Cores: round(p.cores), Slots: p.slots, OS: runtime.GOOS, Arch: runtime.GOARCH,
		Toolchains: toolchains, Version: config.Version(),
	}
}

// connect makes what works over the mesh.
func (n *Node) connect(p *parts, id mesh.Identity, settings config.Settings) (err error) {
	log := n.cfg.Log
	p.share = share.New(p.store, share.Limits{Bytes: p.store.Stats().MaxBytes / sharedPart, Holds: maxShared})
	p.tenants = collect.NewTenants(p.store, p.share)
	p.dht, err = dht.New(dht.Options{
		Self: p.mesh.Self(), Network: p.mesh, Blobs: sharedBlobs{p.store}, Members: p.alive,
		RTT: p.rtt, Host: p.mesh.Libp2p(), Log: log,
		OnCorrupt: func(id peer.ID, _ digest.Digest) { p.builder.Corrupt(id) },
		Keep:      keeping{p.store, settings.Lease()}.keep, Landlord: p.tenants, Native: p.named().Native,
	})
	if err != nil {
		return err
	}
	p.collector = collect.New(collect.Options{Self: p.mesh.Self(), Store: p.store, Mesh: p.dht, MaxAge: settings.MaxAge(), Log: log})
	p.registry = registry.New(registry.Options{
		Self: p.mesh.Self(), Network: p.mesh, Owners: p.dht.Owners, Changes: p.changes,
		Store:        ownResults{p.actions, p.mesh.Self(), p.solitary},
		ShareReduced: settings.ShareReduced, Log: log,
	})
	level, _ := p.exec.Isolation()
	reduced := level != action.Full && !settings.ShareReduced
	p.runner = &runner{
		self: p.mesh.Self(), sign: id.Sign, store: p.store, handed: p.handed, dht: p.dht, exec: p.exec,
		toolchains: p.toolchains, actions: p.actions, solitary: p.solitary, reduced: reduced, log: log,
	}
	p.sched = sched.New(sched.Options{
		Heirs: heirs{p}, Leases: leases{p.dht}, Self: p.mesh.Self(), Network: p.mesh, Members: p.mesh.Members, Changes: p.changes, Estimate: p.estimate,
		Blobs: newMessages(p.store), Results: p.registry, Runner: p.runner, Slots: p.slots, BPU: p.slotBPU,
		Memory: host.Memory(), InUse: host.MemoryInUse, StatusEvery: settings.StatusEvery(), OS: runtime.GOOS, Arch: runtime.GOARCH, Log: log,
		Fetch: func(ctx context.Context, ds []digest.Digest, hints []peer.ID) error {
			_, err := p.dht.Fetch(ctx, ds, hints)
			return err
		},
		Toolchains: func(ctx context.Context, s steal.Spec) string {
			d, err := p.toolchains.Digest(ctx, toolchain.Spec(s))
			if err != nil {
				log.Info("toolchain is not here", "spec", s.Spec, "error", err)
			}
			return d
		},
		OwnBuildsOnly: reduced, Absolute: level == action.Full,
	})
	p.costs = costs.New(p.store.CacheKV("costs"), p.store.CacheKV("costs-heard"))
	p.hearsay = hearsay.New(hearsay.Options{Self: p.mesh.Self(), Network: p.mesh, Owners: p.dht.Owners, Book: p.costs, Log: log})
	p.profiles = &profiles{shelf.New(n.cfg.Home), p.mesh, log}
	trees := p.store.CacheKV("trees")
	if err := worktree.Collect(trees, maxTrees); err != nil {
		return err
	}
	p.builder = build.New(build.Options{
		Network: p.mesh, Unfinished: p.store.CacheKV("unfinished"), Self: p.mesh.Self(), Store: p.store, State: trees, Watcher: p.watcher, Actions: p.actions,
		History: p.history, Dead: p.dead, Costs: p.costs, Hearsay: p.hearsay, Toolchains: p.toolchains,
		Scheduler: p.sched, Fetcher: p.dht, Members: p.mesh.Members, Estimate: p.estimate, Settle: p.settle,
		Provide: p.dht.Provide, Profiles: p.profiles, Private: p.private, Drop: p.store.Drop, Log: log,
		KeepBytes: settings.KeepForOthersBytes, StoreBytes: p.store.Stats().MaxBytes,
		Moved: p.moved,
	})
	p.invocations = n.invoke(p, settings)
	p.clients = invocations.New(invocations.Options{
		Self: p.mesh.Self(), History: history.New(p.store.CacheKV("reapi-history")), Members: p.mesh.Members, Moved: p.moved, Log: log,
	})
	return nil
}

// rtt is the round trip to a member, 0 while it is not known.
func (p *parts) rtt(to peer.ID) time.Duration {
	for _, m := range p.mesh.Members() {
		if m.ID == to {
			return m.RTT
		}
	}
	return 0
}

// estimate is the round trip between two members: until coordinates have
// settled, what is known from this node's own hellos.
func (p *parts) estimate(a, b peer.ID) time.Duration {
	if d := p.mesh.Estimate(a, b); d > 0 {
		return d
	}
	switch p.mesh.Self() {
	case a:
		return p.rtt(b)
	case b:
		return p.rtt(a)
	default:
		return 0
	}
}

// alive returns the members that answer, this node included.
func (p *parts) alive() []peer.ID { return p.mesh.Alive() }

// solitary reports whether this node is the only one that answers.
func (p *parts) solitary() bool { return len(p.alive()) == 1 }

// changes turns the mesh's events into a signal that something changed.
func (p *parts) changes() (<-chan struct{}, func()) {
	events, stop := p.mesh.Subscribe()
	ctx, cancel := context.WithCancel(context.Background())
	signal := make(chan struct{}, 1)
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-events:
			}
			select {
			case signal <- struct{}{}:
			default:
			}
		}
	}()
	return signal, func() { cancel(); stop() }
}

// counters are figures for whoever looks after a node.
func (p *parts) counters() map[string]int64 {
	c, d := p.mesh.Counters(), p.dht.Stats()
	var corrupt int64
	for _, n := range d.Corrupt {
		corrupt += int64(n)
	}
	counts := map[string]int64{
		"garbage_packets": int64(c.Garbage), "hellos_refused": int64(c.HelloRefused), "dials_refused": int64(c.DialRefused),
		"swim_packets_dropped": int64(c.Dropped), "bytes_in": d.BytesIn, "bytes_out": d.BytesOut, "blobs_in": d.BlobsIn,
		"blob_requests": d.Requests, "blob_requests_hedged": d.Hedges, "corrupt_answers": corrupt,
	}
	maps.Copy(counts, p.clients.Counters())
	held := p.share.Stats()
	counts["leased_bytes"], counts["leases_refused"] = held.Bytes, held.Refused
	if p.remaker != nil {
		st := p.remaker.Stats()
		counts["blobs_remade"], counts["blobs_not_remade"] = st.Remade, st.Lost
	}
	return counts
}

// services returns the stages in which the parts run: later ones use earlier
// ones.
func (p *parts) services(n *Node) [][]service {
	return [][]service{
		{{"mesh", p.mesh.Run}},
		{{"farewell", func(ctx context.Context) error { return farewell(ctx, p) }}},
		append(n.ears(p), service{"exchange", p.dht.Run}, service{"results", p.registry.Run}, service{"costs", p.hearsay.Run}),
		{{"scheduler", func(ctx context.Context) error { return schedule(ctx, p.sched) }},
			{"owner", p.owner.Run},
			{"invocations", p.invocations.Run},
			{"clients' invocations", p.clients.Run},
			{"collection", p.collector.Run},
			{"leases", p.tenants.Run},
			{"greeting", func(ctx context.Context) error { return n.greet(ctx, p) }},
			{"upkeep", func(ctx context.Context) error { return p.upkeep(ctx, n) }}},
	}
}
