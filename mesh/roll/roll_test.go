package roll

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/buildnet/buildnet/mesh/join"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/mesh/roll/rollpb"
	"github.com/buildnet/buildnet/mesh/wire"
	"github.com/libp2p/go-libp2p/core/crypto"
	libp2p "github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

func member(i byte) Signer {
	key := ed25519.NewKeyFromSeed(append(make([]byte, ed25519.SeedSize-1), i))
	public, err := crypto.UnmarshalEd25519PublicKey(key.Public().(ed25519.PublicKey))
	if err != nil {
		panic(err)
	}
	id, err := libp2p.IDFromPublicKey(public)
	if err != nil {
		panic(err)
	}
	return Signer{ID: peer.ID(id.String()), Key: key}
}

var (
	alice, bob, carol, mallory = member(1), member(2), member(3), member(4)
	everybody                  = []peer.ID{alice.ID, bob.ID, carol.ID, mallory.ID}
	first                      = Roll{Mesh: "m", Secret: join.Secret{1}}
)

func revoke(t *testing.T, r Roll, id peer.ID, by Signer, secret byte) Roll {
	t.Helper()
	out, err := r.Revoke(id, by, join.Secret{secret}, everybody)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestARevocationIsAdopted(t *testing.T) {
	after := revoke(t, first, mallory.ID, alice, 2)
	got, err := first.Adopt(after)
	if err != nil {
		t.Fatal(err)
	}
	if got.Exposed(alice.ID) || got.Exposed(bob.ID) {
		t.Error("there is a ban that the revoker did not know")
	}
	if got.Secret != after.Secret || !got.Banned(mallory.ID) || got.Listed(mallory.ID) || !got.Listed(carol.ID) || !slices.Contains(got.Former, first.Secret) {
		t.Errorf("%+v", got)
	}
	if back, err := got.Adopt(first); err != nil || back.Secret != got.Secret {
		t.Errorf("the first secret came back: %v", err)
	}
	if first.Banned(mallory.ID) || len(first.Former) != 0 {
		t.Error("the roll before has changed")
	}
}

func TestWhatIsNotAdopted(t *testing.T) {
	after := revoke(t, first, mallory.ID, alice, 2)
	change := func(f func(*Roll)) Roll {
		r := after
		r.Bans, r.Members, r.Covers = slices.Clone(after.Bans), slices.Clone(after.Members), slices.Clone(after.Covers)
		f(&r)
		return r
	}
	for name, told := range map[string]Roll{
		"another mesh":          change(func(r *Roll) { r.Mesh = "n" }),
		"another secret":        change(func(r *Roll) { r.Secret[5]++ }),
		"another generation":    change(func(r *Roll) { r.Generation++ }),
		"a far generation":      change(func(r *Roll) { r.Generation += maxStep; r.Signature = ed25519.Sign(alice.Key, r.text()) }),
		"another signer":        change(func(r *Roll) { r.By = bob.ID }),
		"no signer":             change(func(r *Roll) { r.By = "" }),
		"members added":         change(func(r *Roll) { r.Members = append(r.Members, "x") }),
		"members in disorder":   change(func(r *Roll) { slices.Reverse(r.Members); r.Signature = ed25519.Sign(alice.Key, r.text()) }),
		"covers more":           change(func(r *Roll) { r.Covers = append(r.Covers, "x") }),
		"members as covered":    change(func(r *Roll) { r.Members, r.Covers = nil, append(r.Members, r.Covers...) }),
		"covered in disorder":   change(func(r *Roll) { r.Covers = []peer.ID{"b", "a"}; r.Signature = ed25519.Sign(alice.Key, r.text()) }),
		"a ban of another":      change(func(r *Roll) { r.Bans[0].Peer = bob.ID }),
		"a ban by another":      change(func(r *Roll) { r.Bans[0].By = bob.ID }),
		"a ban of another time": change(func(r *Roll) { r.Bans[0].Generation++ }),
	} {
		got, err := first.Adopt(told)
		if !errors.Is(err, ErrRefused) || !reflect.DeepEqual(got, first) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	unsigned := first
	unsigned.Secret = join.Secret{255}
	if got, err := first.Adopt(unsigned); err != nil || got.Secret != first.Secret {
		t.Errorf("an unsigned first secret was adopted: %v", err)
	}
}

func TestARevokedPeerRotatesNothing(t *testing.T) {
	after := revoke(t, first, mallory.ID, alice, 2)
	theirs := revoke(t, revoke(t, first, alice.ID, mallory, 3), bob.ID, mallory, 4)
	got, err := after.Adopt(theirs)
	if err != nil {
		t.Fatal(err)
	}
	if got.Secret != after.Secret {
		t.Error("the secret of a revoked peer was adopted")
	}
	late := revoke(t, theirs, carol.ID, mallory, 5)
	if got, err := after.Learn(late.Bans); err != nil || got.Banned(bob.ID) || got.Banned(carol.ID) {
		t.Errorf("a ban by a peer revoked before counts: %v", err)
	}
}

func TestWhoFollowedARevokedPeerComesBack(t *testing.T) {
	after := revoke(t, first, mallory.ID, alice, 2)
	theirs := revoke(t, revoke(t, first, bob.ID, mallory, 3), member(7).ID, mallory, 4)
	got, err := theirs.Adopt(after)
	if err != nil || got.Secret != after.Secret || got.Banned(bob.ID) || !got.Banned(mallory.ID) {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestWhoLosesAConcurrentRevocationRotatesAgain also where whoever has the
// winning secret has heard of the other ban since.
func TestWhoLosesAConcurrentRevocationRotatesAgain(t *testing.T) {
	a, b := revoke(t, first, mallory.ID, alice, 2), revoke(t, first, carol.ID, bob, 3)
	winner, loser, won, lost := a, b, alice, bob
	if b.Newer(a) {
		winner, loser, won, lost = b, a, bob, alice
	}
	informed, err := winner.Learn(loser.Bans)
	if err != nil {
		t.Fatal(err)
	}
	for name, told := range map[string]Roll{"unaware": winner, "informed": informed} {
		got, err := loser.Adopt(told)
		if err != nil || got.Secret != winner.Secret || len(got.Bans) != 2 {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if !got.Exposed(lost.ID) || got.Exposed(won.ID) {
			t.Errorf("%s: not the loser alone rotates again", name)
		}
		if again := got.Rotate(lost, join.Secret{9}, everybody); again.Exposed(lost.ID) {
			t.Errorf("%s: it rotates for ever", name)
		}
	}
	if got, err := winner.Adopt(loser); err != nil || got.Exposed(won.ID) {
		t.Errorf("the winner rotates as well: %v", err)
	}
}

// TestNoRevokedPeerHasTheLastSecret lets members meet in any order, each
// meeting in two halves with others between, while some of them revoke others.
func TestNoRevokedPeerHasTheLastSecret(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &meeting{t: t, members: []Signer{alice, bob, carol, member(10), member(11), member(12)}}
		for range m.members {
			m.rolls = append(m.rolls, first)
		}
		const revokers = 3 // whom nobody revokes
		anyone := rapid.IntRange(0, len(m.members)-1)
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			from, to := anyone.Draw(t, "from"), anyone.Draw(t, "to")
			switch kind := rapid.IntRange(0, 3).Draw(t, "kind"); {
			case kind == 0 && from < revokers && to >= revokers:
				m.revoke(from, to)
			case kind == 1:
				m.learn(from, to)
			default:
				m.adopt(from, to)
			}
		}
		m.rest()
		last := m.rolls[0]
		for i, r := range m.rolls {
			if banned := last.Banned(m.members[i].ID); banned == (r.Secret == last.Secret) {
				t.Errorf("member %d: revoked is %v, and it has generation %d of %d", i, banned, r.Generation, last.Generation)
			}
		}
	})
}

// meeting is members that tell one another what they know.
type meeting struct {
	t       *rapid.T
	members []Signer
	rolls   []Roll
	secrets byte
}

func (m *meeting) fresh() join.Secret {
	m.secrets++
	return join.Secret{2, m.secrets}
}

func (m *meeting) everybody() (ids []peer.ID) {
	for _, x := range m.members {
		ids = append(ids, x.ID)
	}
	return ids
}

func (m *meeting) revoke(by, id int) {
	if m.rolls[by].Banned(m.members[id].ID) {
		return
	}
	m.set(by)(m.rolls[by].Revoke(m.members[id].ID, m.members[by], m.fresh(), m.everybody()))
}

// set replaces a member's roll, and says whether that is another.
func (m *meeting) set(i int) func(Roll, error) bool {
	return func(r Roll, err error) bool {
		if err != nil {
			m.t.Fatal(err)
		}
		same := r.Equal(m.rolls[i])
		m.rolls[i] = r
		return !same
	}
}

// strangers says whether one of two has heard that the other is out.
func (m *meeting) strangers(a, b int) bool {
	return a == b || m.rolls[a].Banned(m.members[b].ID) || m.rolls[b].Banned(m.members[a].ID)
}

func (m *meeting) learn(from, to int) bool {
	return !m.strangers(from, to) && m.set(to)(m.rolls[to].Learn(m.rolls[from].Bans))
}

func (m *meeting) adopt(from, to int) bool {
	if m.strangers(from, to) {
		return false
	}
	news := m.set(to)(m.rolls[to].Adopt(m.rolls[from]))
	if self := m.members[to]; m.rolls[to].Exposed(self.ID) {
		news = m.set(to)(m.rolls[to].Rotate(self, m.fresh(), m.everybody()), nil)
	}
	return news
}

// rest lets everybody meet everybody until nobody hears anything new.
func (m *meeting) rest() {
	for rounds, news := 0, true; news; rounds++ {
		if news = false; rounds > 20 {
			m.t.Fatal("they never come to rest")
		}
		for from := range m.members {
			for to := range m.members {
				news = m.adopt(from, to) || news
			}
		}
	}
}

// TestOrderDoesNotMatter merges revocations by members who are in, made at the
// same time or one after the other, in any order.
func TestOrderDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		known := []Roll{first}
		for i := range rapid.IntRange(1, 5).Draw(t, "revocations") {
			on := rapid.SampledFrom(known).Draw(t, "on")
			by := rapid.SampledFrom([]Signer{alice, bob}).Draw(t, "by")
			next, err := on.Revoke(member(byte(10+i)).ID, by, join.Secret{byte(2 + i)}, everybody)
			if err != nil {
				t.Fatal(err)
			}
			known = append(known, next)
		}
		merge := func(order []Roll) Roll {
			out := first
			for _, r := range order {
				var err error
				if out, err = out.Adopt(r); err != nil {
					t.Fatal(err)
				}
			}
			return out
		}
		a, b := merge(known), merge(rapid.Permutation(known).Draw(t, "order"))
		if a.Secret != b.Secret || !reflect.DeepEqual(a.Bans, b.Bans) || a.Generation != b.Generation {
			t.Fatalf("%+v\n%+v", a, b)
		}
		for _, r := range known {
			if r.Newer(a) {
				t.Fatalf("generation %d was newer", r.Generation)
			}
		}
	})
}

func TestFormerSecretsAreBounded(t *testing.T) {
	r := first
	for i := range 3 * MaxFormer {
		r = r.Rotate(alice, join.Secret{byte(2 + i)}, everybody)
	}
	if len(r.Former) != MaxFormer {
		t.Errorf("%d former secrets", len(r.Former))
	}
	r.Bans = make([]Ban, MaxBans)
	if _, err := r.Revoke(mallory.ID, alice, join.Secret{}, nil); err == nil {
		t.Error("bans are not bounded")
	}
}

func TestTwoMembersComeToOneRoll(t *testing.T) {
	newer := revoke(t, first, mallory.ID, alice, 2)
	for name, pair := range map[string][2]Roll{"asker is newer": {newer, first}, "answerer is newer": {first, newer}, "equal": {newer, newer}} {
		a, b := pair[0], pair[1]
		sa, sb := a.Summary(), b.Summary()
		told := 0
		for _, x := range []struct {
			of *Roll
			s  *rollpb.Summary
			n  *rollpb.Rotation
		}{{&a, sb, b.Rotation(sa)}, {&b, sa, a.Rotation(sb)}} {
			if len(x.n.GetSecret()) == 0 {
				continue
			}
			told++
			r, err := Read(x.s, x.n)
			if err != nil {
				t.Fatal(err)
			}
			if *x.of, err = x.of.Adopt(r); err != nil {
				t.Fatal(err)
			}
		}
		if a.Secret != newer.Secret || b.Secret != newer.Secret || told > 1 || told == 1 && name == "equal" {
			t.Errorf("%s: the secret was told %d times, and they have %x and %x", name, told, a.Secret[:2], b.Secret[:2])
		}
	}
}

func FuzzRead(f *testing.F) {
	r, err := first.Revoke(mallory.ID, alice, join.Secret{2}, everybody)
	if err != nil {
		f.Fatal(err)
	}
	var b bytes.Buffer
	for _, m := range []proto.Message{r.Summary(), r.Rotation(first.Summary())} {
		if err := wire.Write(&b, m); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(b.Bytes())
	f.Add(binary.AppendUvarint(nil, 1<<40))
	f.Fuzz(func(t *testing.T, b []byte) {
		in := bufio.NewReader(bytes.NewReader(b))
		var s rollpb.Summary
		var n rollpb.Rotation
		if wire.Read(in, &s, 1<<16) != nil || wire.Read(in, &n, 1<<16) != nil {
			return
		}
		told, err := Read(&s, &n)
		if err != nil {
			return
		}
		got, err := first.Adopt(told)
		if err == nil && got.Secret != first.Secret && got.Secret != r.Secret {
			t.Errorf("adopted a secret that no member has signed: %+v", told)
		}
	})
}
