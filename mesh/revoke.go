package mesh

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/buildnet/buildnet/mesh/decree"
	"github.com/buildnet/buildnet/mesh/decree/decreepb"
	"github.com/buildnet/buildnet/mesh/join"
	"github.com/buildnet/buildnet/mesh/link"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/mesh/roll"
	"github.com/buildnet/buildnet/mesh/roll/rollpb"
	"github.com/buildnet/buildnet/mesh/wire"
	"github.com/libp2p/go-libp2p/core/network"
	"google.golang.org/protobuf/proto"
)

const (
	rollProtocol = "/buildnet/roll/1"
	// maxRollFrame is 4096 bans, or 16384 members and 4096 covered, and some
	// room.
	maxRollFrame = 1 << 20
	// exchangeTime bounds one exchange.
	exchangeTime = 5 * time.Second
	// A new gossip key is used for sending after spreadTime, when all members
	// have it, and the former one opens nothing more after graceTime.
	spreadTime = 2 * time.Second
	graceTime  = 10 * time.Second
	// relays is how many members hear of news from each that learned them, so
	// that also those hear that the revoker does not know.
	relays = 3
	// firstRetell and lastRetell bound the pauses before one is told again that
	// could not be told.
	firstRetell = time.Second
	lastRetell  = 32 * time.Second
	// maxTold bounds exchanges at once when a peer is revoked.
	maxTold = 16
)

func (m *Mesh) currentRoll() *roll.Roll {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.roll
}

func (m *Mesh) banned(id peer.ID) bool { return m.currentRoll().Banned(id) }

// admit lets everybody with the mesh's secret in who was not revoked, and with
// a former secret those alone who are on the signed roll.
func (m *Mesh) admit(id peer.ID, by link.Proof) bool {
	r := m.currentRoll()
	return !r.Banned(id) && (by == link.Current || r.Listed(id))
}

// Revoke bans a member for good: its connections end, the secret of the mesh
// changes, and tokens made before work no more. It returns when that is on
// disk and every member that can be reached has been told; the others hear of
// it when they meet one.
func (m *Mesh) Revoke(ctx context.Context, id peer.ID) error {
	if id == m.Self() {
		return errors.New("revoke: this is the node itself; let it leave instead")
	}
	m.mu.Lock()
	_, met := m.known[id]
	m.mu.Unlock()
	if _, listed := m.find(id); !met && !listed {
		return fmt.Errorf("revoke %s: %w; see `buildnet node ls`", id, ErrNoSuchMember)
	}
	if m.banned(id) {
		return nil
	}
	err := m.change(ctx, func(r roll.Roll) (roll.Roll, error) {
		return r.Revoke(id, m.signer(), newSecret(), m.returning(r))
	})
	if !m.banned(id) {
		return err
	}
	m.opts.Log.Info("member revoked", "peer", id)
	m.tellAll(ctx)
	return err
}

func newSecret() (s join.Secret) {
	_, _ = rand.Read(s[:]) // never fails since Go 1.24
	return s
}

func (m *Mesh) signer() roll.Signer { return roll.Signer{ID: m.Self(), Key: m.opts.Identity.key} }

// returning are those who may come back with the secret that is rotated away.
func (m *Mesh) returning(r roll.Roll) []peer.ID {
	all := append([]peer.ID{m.Self()}, r.Members...)
	m.mu.Lock()
	defer m.mu.Unlock()
	for id := range m.known {
		all = append(all, id)
	}
	return all
}

// change replaces the roll and does what follows from it, even where it cannot
// be saved, which is the error then. f may be called again when the roll has
// changed meanwhile.
func (m *Mesh) change(ctx context.Context, f func(roll.Roll) (roll.Roll, error)) error {
	for {
		before := m.currentRoll()
		after, err := f(*before)
		if err != nil {
			return err
		}
		if after.Equal(*before) {
			return nil
		}
		m.mu.Lock()
		current := m.roll == before
		if current {
			m.roll = &after
			m.rolls++
		}
		nth := m.rolls
		m.mu.Unlock()
		if current {
			m.turned()
			err := m.saveNow(ctx) // first: a crash may not forget a revocation
			m.keys(nth, &after)
			m.follows(before, &after)
			return err
		}
	}
}

// keys gives the link those of the nth roll, unless a later one was saved sooner.
func (m *Mesh) keys(nth uint64, r *roll.Roll) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if nth > m.keyed {
		m.keyed = nth
		m.link.SetKeys(link.KeysOf(r.Mesh, r.Secret, r.Former...))
	}
}

// follows carries out what a new roll says.
func (m *Mesh) follows(before, after *roll.Roll) {
	for _, b := range after.Bans {
		if before.Banned(b.Peer) {
			continue
		}
		m.opts.Log.Warn("a member was revoked", "peer", b.Peer, "by", b.By)
		_ = m.link.Expel(b.Peer) // an ID that is none was never in
		m.departed(b.Peer)
	}
	if after.Secret == before.Secret {
		return
	}
	m.mu.Lock()
	keyring, life := m.keyring, m.ctx
	m.mu.Unlock()
	if keyring == nil {
		return
	}
	if err := keyring.AddKey(after.Secret.GossipKey(after.Mesh)); err != nil {
		m.opts.Log.Error("new gossip key", "err", err)
	}
	if m.alone() {
		m.useKey() // whoever told the new secret understands no other
	}
	if _, ok := m.begin(); ok {
		go func() {
			defer m.tasks.Done()
			m.settle(life)
		}()
	}
	m.background(life, func() { m.relay(life) })
}

// departed tells subscribers that a revoked member is none.
func (m *Mesh) departed(id peer.ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for c := range m.subs {
		publish(c, Event{peer.Member{ID: id, State: peer.Left}})
	}
}

func (m *Mesh) useKey() {
	r := m.currentRoll()
	m.mu.Lock()
	keyring := m.keyring
	m.mu.Unlock()
	if err := keyring.UseKey(r.Secret.GossipKey(r.Mesh)); err != nil {
		m.opts.Log.Error("use the new gossip key", "err", err)
	}
}

// settle changes to the gossip key of the roll, and later forgets the others.
func (m *Mesh) settle(ctx context.Context) {
	for _, wait := range []time.Duration{spreadTime, graceTime - spreadTime} {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		m.useKey()
	}
	m.mu.Lock()
	keyring := m.keyring
	m.mu.Unlock()
	for _, key := range keyring.GetKeys() {
		_ = keyring.RemoveKey(key) // refuses for the one in use alone
	}
}

// others are the members to talk to, in random order: as they are now, because
// who is left out of news may not hear of them again.
func (m *Mesh) others() []peer.Member {
	var out []peer.Member
	for _, x := range m.now() {
		if !x.Self && x.State == peer.Alive {
			out = append(out, x)
		}
	}
	mathrand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

func (m *Mesh) tellAll(ctx context.Context) {
	room := make(chan struct{}, maxTold)
	var wg sync.WaitGroup
	for _, x := range m.others() {
		room <- struct{}{}
		wg.Go(func() {
			defer func() { <-room }()
			if err := m.exchange(ctx, x.ID, x.Addr); err != nil {
				m.opts.Log.Warn("a member was not told yet", "peer", x.ID, "err", err)
				m.tellLater(x)
			}
		})
	}
	wg.Wait()
}

func (m *Mesh) relay(ctx context.Context) {
	others := m.others()
	for _, x := range others[:min(len(others), relays)] {
		if err := m.exchange(ctx, x.ID, x.Addr); err != nil {
			m.opts.Log.Debug("pass on what is new", "peer", x.ID, "err", err)
			m.tellLater(x)
		}
	}
}

// tellLater tells a member again that could not be told: it may have been busy,
// and nothing else brings two together that have met. One that stays away hears
// of it when it comes back.
func (m *Mesh) tellLater(x peer.Member) {
	life, ok := m.begin()
	if !ok {
		return
	}
	m.mu.Lock()
	again := m.untold[x.ID]
	m.untold[x.ID] = true
	m.mu.Unlock()
	if again {
		m.tasks.Done()
		return
	}
	go func() {
		defer m.tasks.Done()
		defer func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			delete(m.untold, x.ID)
		}()
		for wait := firstRetell; wait <= lastRetell && !m.banned(x.ID); wait *= 2 {
			select {
			case <-life.Done():
				return
			case <-time.After(wait):
			}
			if m.exchange(life, x.ID, x.Addr) == nil {
				return
			}
		}
	}()
}

// exchange brings this node and a member to the same roll, and the same decree.
func (m *Mesh) exchange(ctx context.Context, id peer.ID, addr netip.AddrPort) error {
	s, err := m.link.Open(ctx, id, addr, rollProtocol)
	if err != nil {
		return fmt.Errorf("exchange rolls with %s: %w", id, err)
	}
	err = m.talk(ctx, s, asker)
	if err != nil {
		_ = s.Reset()
		return fmt.Errorf("exchange rolls with %s: %w", id, err)
	}
	_ = s.Close() // both have said all
	return nil
}

func (m *Mesh) serveRoll(s network.Stream) {
	ctx, ok := m.begin()
	if !ok {
		_ = s.Reset()
		return
	}
	defer m.tasks.Done()
	if err := m.talk(ctx, s, answerer); err != nil {
		m.opts.Log.Debug("exchange of rolls", "peer", s.Conn().RemotePeer(), "err", err)
		_ = s.Reset()
		return
	}
	_ = s.Close()
}

// side of an exchange: the asker speaks first.
type side uint8

const (
	asker side = iota + 1
	answerer
)

func (m *Mesh) talk(ctx context.Context, s network.Stream, as side) error {
	if err := s.SetDeadline(time.Now().Add(exchangeTime)); err != nil {
		return err
	}
	r := bufio.NewReader(s)
	var theirs rollpb.Summary
	if err := inTurn(as, s, r, func() proto.Message { return m.currentRoll().Summary() }, &theirs, func() error { return m.learn(ctx, &theirs) }); err != nil {
		return err
	}
	var news rollpb.Rotation
	if err := inTurn(as, s, r, func() proto.Message { return m.currentRoll().Rotation(&theirs) }, &news, func() error { return m.adopt(ctx, &theirs, &news) }); err != nil {
		return err
	}
	var told decreepb.Decree
	return inTurn(as, s, r, func() proto.Message { return m.currentDecree().Message() }, &told, func() error { return m.believe(ctx, decree.Read(&told)) })
}

// inTurn writes one frame and reads one, which take then takes.
func inTurn(as side, s network.Stream, r *bufio.Reader, write func() proto.Message, read proto.Message, take func() error) error {
	if as == asker {
		if err := wire.Write(s, write()); err != nil {
			return err
		}
	}
	if err := wire.Read(r, read, maxRollFrame); err != nil {
		return err
	}
	if err := take(); err != nil {
		return err
	}
	if as == answerer {
		return wire.Write(s, write())
	}
	return nil
}

func (m *Mesh) learn(ctx context.Context, theirs *rollpb.Summary) error {
	if mesh := m.currentRoll().Mesh; theirs.GetMesh() != mesh {
		return fmt.Errorf("%w: of mesh %q, this is %q", roll.ErrRefused, theirs.GetMesh(), mesh)
	}
	bans, err := roll.Bans(theirs)
	if err != nil {
		return err
	}
	return m.change(ctx, func(r roll.Roll) (roll.Roll, error) { return r.Learn(bans) })
}

func (m *Mesh) adopt(ctx context.Context, theirs *rollpb.Summary, news *rollpb.Rotation) error {
	if len(news.GetSecret()) > 0 {
		told, err := roll.Read(theirs, news)
		if err != nil {
			return err
		}
		if err := m.change(ctx, func(r roll.Roll) (roll.Roll, error) { return r.Adopt(told) }); err != nil {
			return err
		}
	}
	return m.change(ctx, func(r roll.Roll) (roll.Roll, error) {
		if !r.Exposed(m.Self()) {
			return r, nil
		}
		return r.Rotate(m.signer(), newSecret(), m.returning(r)), nil
	})
}
