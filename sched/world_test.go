package sched_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"path"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"github.com/libp2p/go-libp2p/core/crypto"
	libp2p "github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/mesh/peer/peertest"
	"github.com/buildnet/buildnet/sched"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/registry"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store/digest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// runTime is what an action of the tests takes.
const runTime = 300 * time.Millisecond

// detectTime is how long membership takes to notice a death.
const detectTime = 3 * time.Second

var errAbsent = errors.New("not here")

// world is a mesh in memory of whole nodes: everything but bytes and
// executions is real.
type world struct {
	t   testing.TB
	net *peertest.Network

	mu      sync.Mutex
	nodes   map[peer.ID]*machine
	order   []peer.ID // alive ones, as membership knows them
	cut     map[[2]peer.ID]bool
	watch   map[chan struct{}]bool
	runs    []run
	runTime time.Duration
	rtt     time.Duration // between any two
	log     *slog.Logger
	heirs   bool // nodes that join from here on may be one
	// securedByHeir are results that heirs got at their second try.
	securedByHeir int
	rent          *rent
	estates       []*estate // that were begun, in order
}

type run struct {
	by    peer.ID
	job   sched.Job
	begun time.Time
	ended bool // with a result
}

// machine is one node.
type machine struct {
	*sched.Service
	w     *world
	id    peer.ID
	key   ed25519.PrivateKey
	stop  context.CancelFunc
	done  sync.WaitGroup
	slots int

	mu       sync.Mutex
	dead     bool
	blobs    map[digest.Digest][]byte
	entries  map[digest.Digest]action.Entry
	busy     int
	keepless bool // as an heir
	room     int  // for outputs of so many steps as an heir; 0 for all
	most     int
	lacked   int // jobs whose action or inputs nobody had
}

// pass lets time pass in a world, and what happens then.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// inWorld runs a test on n nodes in virtual time.
func inWorld(t *testing.T, n int, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
		defer w.close()
		for i := range n {
			w.join(byte(i + 1))
		}
		test(t, w)
	})
}

func newWorld(t testing.TB) *world {
	return &world{
		t: t, net: peertest.NewNetwork(), nodes: map[peer.ID]*machine{}, cut: map[[2]peer.ID]bool{},
		watch: map[chan struct{}]bool{}, runTime: runTime, rtt: time.Millisecond, log: slog.New(slog.DiscardHandler),
		rent: &rent{held: map[tenancy]map[digest.Digest]time.Time{}, deaf: map[peer.ID]bool{}},
	}
}

func (w *world) close() {
	for _, id := range slices.Clone(w.order) {
		w.kill(id)
	}
	w.net.Close()
}

func (w *world) join(seed byte) *machine {
	w.t.Helper()
	id, key := identity(w.t, seed)
	return w.joinOver(id, key, w.net.Join(id))
}

func (w *world) joinOver(id peer.ID, key ed25519.PrivateKey, net peer.Network) *machine {
	m := &machine{w: w, id: id, key: key, slots: 2, blobs: map[digest.Digest][]byte{}, entries: map[digest.Digest]action.Entry{}}
	results := registry.New(registry.Options{Self: id, Network: net, Owners: w.owners, Changes: w.changes, Store: m})
	m.Service = sched.New(sched.Options{
		Self: id, Network: net, Members: func() []peer.Member { return w.members(id) }, Changes: w.changes,
		Estimate: func(_, _ peer.ID) time.Duration { return w.rtt },
		Blobs:    (*shelf)(m), Fetch: m.fetch, Results: results, Runner: (*runner)(m),
		Toolchains: func(context.Context, steal.Spec) string { return "" },
		Slots:      m.slots, BPU: func() float64 { return 1 }, OS: "linux", Arch: "amd64", StatusEvery: time.Second,
		InUse: func() int64 { return 1 << 20 }, Heirs: w.heirsOf(m), Leases: rents{w.rent, id}, Log: w.log.With("self", id.Short()),
	})
	ctx, cancel := context.WithCancel(context.Background())
	m.stop = cancel
	for _, part := range []func(context.Context) error{results.Run, m.Run} {
		m.done.Go(func() {
			if err := part(ctx); err != nil {
				w.t.Error(err)
			}
		})
	}
	w.mu.Lock()
	w.nodes[id] = m
	if !slices.Contains(w.order, id) {
		w.order = append(w.order, id)
	}
	w.mu.Unlock()
	w.announce()
	return m
}

func identity(t testing.TB, seed byte) (peer.ID, ed25519.PrivateKey) {
	t.Helper()
	key := ed25519.NewKeyFromSeed(append(make([]byte, ed25519.SeedSize-1), seed))
	public, err := crypto.UnmarshalEd25519PublicKey(key.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	id, err := libp2p.IDFromPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return peer.ID(id.String()), key
}

// kill takes a node away as a power failure does. Membership notices later.
func (w *world) kill(id peer.ID) {
	m := w.nodes[id]
	m.mu.Lock()
	m.dead = true
	m.mu.Unlock()
	w.net.Kill(id)
	m.stop()
	m.done.Wait()
	time.AfterFunc(detectTime, func() {
		w.mu.Lock()
		if w.nodes[id] == m { // and was not started again
			w.order = slices.DeleteFunc(w.order, func(other peer.ID) bool { return other == id })
		}
		w.mu.Unlock()
		w.announce()
	})
}

// part separates two nodes until it is called with false.
func (w *world) part(a, b peer.ID, apart bool) {
	w.mu.Lock()
	w.cut[[2]peer.ID{a, b}], w.cut[[2]peer.ID{b, a}] = apart, apart
	w.mu.Unlock()
	if apart {
		w.net.Cut(a, b)
		return
	}
	w.net.Heal(a, b)
}

func (w *world) announce() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.watch {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

func (w *world) changes() (<-chan struct{}, func()) {
	c := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.watch[c] = true
	return c, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.watch, c)
	}
}

func (w *world) members(self peer.ID) []peer.Member {
	w.mu.Lock()
	defer w.mu.Unlock()
	var ms []peer.Member
	for _, id := range w.order {
		ms = append(ms, peer.Member{
			ID: id, State: peer.Alive, Self: id == self,
			Caps: peer.Capabilities{BPU: 1, Cores: 2, Slots: 2, OS: "linux", Arch: "amd64"},
		})
	}
	return ms
}

// owners is rendezvous over the members.
func (w *world) owners(a digest.Digest, n int) []peer.ID {
	w.mu.Lock()
	ids := slices.Clone(w.order)
	w.mu.Unlock()
	weight := func(id peer.ID) uint64 {
		h := fnv.New64a()
		_, _ = h.Write(append(a.Binary(), id...))
		return h.Sum64()
	}
	slices.SortFunc(ids, func(x, y peer.ID) int {
		if weight(x) > weight(y) {
			return -1
		}
		return 1
	})
	return ids[:min(n, len(ids))]
}

// The action cache of a machine.

func (m *machine) Get(_ context.Context, a digest.Digest) (action.Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.entries[a]
	if !ok {
		return action.Entry{}, errAbsent
	}
	return e, nil
}

func (m *machine) Put(_ context.Context, e action.Entry) error {
	if err := e.Verify(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries[e.Action] = e
	return nil
}

func (m *machine) Each(f func(action.Entry) bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.entries {
		if !f(e) {
			return nil
		}
	}
	return nil
}

// shelf is a machine's store of blobs.
type shelf machine

func (s *shelf) Get(_ context.Context, d digest.Digest, limit int64) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.blobs[d]
	if !ok || d.Size() > limit {
		return nil, errAbsent
	}
	return b, nil
}

func (s *shelf) Put(_ context.Context, blobs ...action.Blob) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range blobs {
		s.blobs[b.Digest] = b.Content
	}
	return nil
}

// fetch copies from whoever has it and can be reached.
func (m *machine) fetch(ctx context.Context, ds []digest.Digest, _ []peer.ID) error {
	for _, d := range ds {
		if _, err := (*shelf)(m).Get(ctx, d, d.Size()); err == nil {
			continue
		}
		b, err := m.w.find(m.id, d)
		if err != nil {
			return fmt.Errorf("fetch %v: %w", d, err)
		}
		_ = (*shelf)(m).Put(ctx, action.Blob{Digest: d, Content: b})
	}
	return ctx.Err()
}

func (w *world) find(to peer.ID, d digest.Digest) ([]byte, error) {
	w.mu.Lock()
	var from []*machine
	for _, id := range w.order {
		if id != to && !w.cut[[2]peer.ID{id, to}] {
			from = append(from, w.nodes[id])
		}
	}
	w.mu.Unlock()
	for _, o := range from {
		o.mu.Lock()
		b, ok := o.blobs[d]
		dead := o.dead
		o.mu.Unlock()
		if ok && !dead {
			return b, nil
		}
	}
	return nil, errAbsent
}

// runner is what a machine executes with.
type runner machine

// load reads a message out of the store, fetching it first.
func (m *runner) load(ctx context.Context, d digest.Digest, into proto.Message) error {
	if err := (*machine)(m).fetch(ctx, []digest.Digest{d}, nil); err != nil {
		return err
	}
	b, err := (*shelf)(m).Get(ctx, d, d.Size())
	if err != nil {
		return err
	}
	return proto.Unmarshal(b, into)
}

func (m *runner) tree(ctx context.Context, root digest.Digest) error {
	var dir repb.Directory
	if err := m.load(ctx, root, &dir); err != nil {
		return err
	}
	for _, f := range dir.Files {
		d, err := action.DigestOf(f.Digest)
		if err != nil {
			return err
		}
		if err := (*machine)(m).fetch(ctx, []digest.Digest{d}, nil); err != nil {
			return err
		}
	}
	for _, sub := range dir.Directories {
		d, err := action.DigestOf(sub.Digest)
		if err != nil {
			return err
		}
		if err := m.tree(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// Prepare brings the inputs of an action here.
func (m *runner) Prepare(ctx context.Context, j sched.Job) *steal.Failure {
	var a repb.Action
	err := (*shelf)(m).Put(ctx, j.Messages...)
	if err == nil {
		err = m.load(ctx, j.Action, &a)
	}
	if err == nil {
		var root digest.Digest
		if root, err = action.DigestOf(a.InputRootDigest); err == nil {
			err = m.tree(ctx, root)
		}
	}
	if err != nil {
		m.mu.Lock()
		m.lacked++
		m.mu.Unlock()
		return &steal.Failure{Kind: steal.MissingBlob, Text: err.Error()}
	}
	return nil
}

// Run makes each output of the digest of the action.
func (m *runner) Run(ctx context.Context, j sched.Job, started func()) (*action.Entry, steal.Timings, *steal.Failure) {
	begun, at := m.begin(j), time.Now()
	defer m.end()
	if len(j.Messages) > 0 {
		m.w.t.Errorf("the messages of %s are still in memory while it runs", j.Step)
	}
	started()
	for _, percent := range []int{50, 100} {
		select {
		case <-ctx.Done():
			return nil, steal.Timings{}, &steal.Failure{Kind: steal.Broken, Text: "cancelled"}
		case <-time.After(m.w.runTime / 2):
			j.Progress(percent)
		}
	}
	r, err := m.make(ctx, j)
	if err != nil {
		return nil, steal.Timings{}, &steal.Failure{Kind: steal.Broken, Text: err.Error()}
	}
	e, err := action.SignEntry(j.Action, *r, m.id, func(b []byte) ([]byte, error) { return ed25519.Sign(m.key, b), nil })
	if err != nil {
		return nil, steal.Timings{}, &steal.Failure{Kind: steal.Broken, Text: err.Error()}
	}
	m.w.ended(begun)
	return &e, steal.Timings{Run: time.Since(at)}, nil
}

func (m *runner) begin(j sched.Job) int {
	m.mu.Lock()
	m.busy++
	m.most = max(m.most, m.busy)
	m.mu.Unlock()
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	m.w.runs = append(m.w.runs, run{by: m.id, job: j, begun: time.Now()})
	return len(m.w.runs) - 1
}

func (m *runner) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.busy--
}

func (w *world) ended(i int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.runs[i].ended = true
}

func (m *runner) make(ctx context.Context, j sched.Job) (*action.Result, error) {
	var a repb.Action
	if err := m.load(ctx, j.Action, &a); err != nil {
		return nil, err
	}
	cd, err := action.DigestOf(a.CommandDigest)
	if err != nil {
		return nil, err
	}
	var c repb.Command
	if err := m.load(ctx, cd, &c); err != nil {
		return nil, err
	}
	r := &action.Result{Isolation: action.Full}
	if c.Arguments[0] == "false" {
		r.ExitCode = 1
		return r, nil
	}
	if c.Arguments[0] == "lenient" {
		return m.lenient(ctx, &c), nil
	}
	if c.Arguments[0] == "secret" {
		r.Isolation = action.Reduced
	}
	for _, o := range c.OutputPaths {
		p := path.Join(c.WorkingDirectory, o)
		content := []byte(p + " of " + j.Action.Hex())
		d := digest.Of(digest.BLAKE3, content)
		_ = (*shelf)(m).Put(ctx, action.Blob{Digest: d, Content: content})
		r.Outputs = append(r.Outputs, action.Output{Path: p, Kind: action.File, Digest: d})
	}
	return r, nil
}
