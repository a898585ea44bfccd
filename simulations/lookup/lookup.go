// Package lookup is kad-dht as nodes of a large mesh would run it: what a
// look-up costs, in hops and in time, over links that somebody else knows
// (Maymounkov and Mazieres, "Kademlia", sections 2.2 and 2.3). No routing
// table is kept: each is worked out when it is looked at. The package is pure.
// Start reading at Table.
package lookup

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/buildnet/buildnet/simulations/setting"
)

// Key is the first 64 bits of a node's or a blob's 256: with them a million
// nodes hardly ever share all.
type Key uint64

// KeyOf makes the key of a blob from the first bytes of its digest.
func KeyOf(hash [32]byte) Key { return Key(binary.BigEndian.Uint64(hash[:8])) }

// Table is the keys of all nodes.
type Table struct {
	params setting.Lookup
	seed   uint64
	keys   []Key
	order  []int // nodes by key
	sorted []Key
}

// New returns the table of so many nodes, with keys of their own.
func New(params setting.Lookup, nodes int, chance *rand.Rand) *Table {
	t := &Table{params: params, seed: chance.Uint64(), keys: make([]Key, nodes), order: make([]int, nodes), sorted: make([]Key, nodes)}
	for i := range t.keys {
		t.keys[i], t.order[i] = Key(chance.Uint64()), i
	}
	slices.SortFunc(t.order, func(a, b int) int { return cmp.Or(cmp.Compare(t.keys[a], t.keys[b]), cmp.Compare(a, b)) })
	for i, node := range t.order {
		t.sorted[i] = t.keys[node]
	}
	return t
}

// World is what a look-up asks of its surroundings.
type World interface {
	// RTT is the round trip between two nodes, and whether the second one
	// answers the first.
	RTT(from, to int) (time.Duration, bool)
}

// resiliency is how many of the nodes nearest to a key have to have answered
// before a look-up ends (go-libp2p-kad-dht, its option of that name).
const resiliency = 3

// Found is what a look-up came to.
type Found struct {
	// Closest are the nodes nearest to the key that answered, nearest first, at
	// most Bucket.
	Closest []int
	// Held says that one of those that were asked had what was looked for.
	Held bool
	// Hops is how many nodes told of one another until the nearest one was
	// known, Asked how many were asked, and Took how long it all was.
	Hops, Asked int
	Took        time.Duration
}

// state is how far a look-up is with a node.
type state uint8

const (
	heard state = iota // of
	waiting
	answered
	failed
)

// contact is a node as a look-up sees it.
type contact struct {
	node     int
	distance Key
	hop      int
	state    state
}

// flight is a question that is out.
type flight struct {
	node    int
	until   time.Duration
	answers bool
}

// search is one look-up.
type search struct {
	t       *Table
	w       World
	from    int
	key     Key
	list    []contact // nearest first
	flights []flight
	found   Found
}

// Find looks for the nodes closest to a key, beginning at one node: it asks the
// nearest that it has heard of, Parallel at a time, and learns of nearer ones.
// It ends when one holds what is looked for, or when the nearest have answered.
// holds may be nil.
func (t *Table) Find(w World, from int, key Key, holds func(node int) bool) Found {
	s := &search{t: t, w: w, from: from, key: key, list: make([]contact, 0, 4*t.params.Bucket)}
	s.add(t.near(from, key), 1)
	for s.ask(); len(s.flights) > 0 && !s.over(); s.ask() {
		f := s.next()
		s.found.Took = f.until
		c := s.contact(f.node)
		if !f.answers {
			c.state = failed
			continue
		}
		c.state = answered
		if holds != nil && holds(f.node) {
			s.found.Held, s.found.Hops = true, c.hop
			break
		}
		s.add(t.near(f.node, key), c.hop+1)
	}
	s.close()
	return s.found
}

// ask puts questions to the nearest that were only heard of.
func (s *search) ask() {
	p := &s.t.params
	near := 0
	for i := range s.list {
		c := &s.list[i]
		if near == p.Bucket || len(s.flights) >= max(p.Parallel, 1) {
			return
		}
		if c.state != failed {
			near++
		}
		if c.state != heard {
			continue
		}
		c.state = waiting
		s.found.Asked++
		rtt, answers := s.w.RTT(s.from, c.node)
		takes := p.Timeout
		if answers {
			takes = rtt + p.Work
		}
		s.flights = append(s.flights, flight{c.node, s.found.Took + takes, answers})
	}
}

// next is the question that ends first.
func (s *search) next() flight {
	first := 0
	for i := range s.flights {
		if s.flights[i].until < s.flights[first].until {
			first = i
		}
	}
	f := s.flights[first]
	s.flights = slices.Delete(s.flights, first, first+1)
	return f
}

// over reports whether the nearest that live have answered.
func (s *search) over() bool {
	near := 0
	for i := range s.list {
		switch s.list[i].state {
		case failed:
		case answered:
			if near++; near == resiliency {
				return true
			}
		default:
			return false
		}
	}
	return true
}

func (s *search) contact(node int) *contact {
	at, _ := s.place(node)
	return &s.list[at]
}

func (s *search) place(node int) (at int, there bool) {
	distance := s.t.keys[node] ^ s.key
	return slices.BinarySearchFunc(s.list, distance, func(c contact, d Key) int {
		return cmp.Or(cmp.Compare(c.distance, d), cmp.Compare(c.node, node))
	})
}

// add hears of nodes.
func (s *search) add(nodes []int, hop int) {
	for _, node := range nodes {
		if n := len(s.list); n == cap(s.list) && s.t.keys[node]^s.key > s.list[n-1].distance {
			continue // so far away that it is never asked
		}
		if at, there := s.place(node); !there && node != s.from {
			s.list = slices.Insert(s.list, at, contact{node: node, distance: s.t.keys[node] ^ s.key, hop: hop})
		}
	}
}

// close sums up.
func (s *search) close() {
	for i := range s.list {
		if c := &s.list[i]; c.state == answered && len(s.found.Closest) < s.t.params.Bucket {
			s.found.Closest = append(s.found.Closest, c.node)
			if len(s.found.Closest) == 1 && !s.found.Held {
				s.found.Hops = c.hop
			}
		}
	}
}

// Closest are the nodes nearest to a key for which fit holds, nearest first, at
// most Bucket: those that a look-up would come to.
func (t *Table) Closest(key Key, fit func(node int) bool) []int {
	var found []int
	for shared := 64; shared >= 0 && len(found) < t.params.Bucket; shared-- {
		// Those that share exactly so many bits come after those that share more.
		from, to := t.span(key, shared)
		if shared < 64 {
			inner, end := t.span(key, shared+1)
			found = t.rank(found, key, from, inner, fit)
			found = t.rank(found, key, end, to, fit)
			continue
		}
		found = t.rank(found, key, from, to, fit)
	}
	return found[:min(len(found), t.params.Bucket)]
}

// rank adds those that are from one place in order to before another one.
func (t *Table) rank(found []int, key Key, from, to int, fit func(int) bool) []int {
	begin := len(found)
	for _, node := range t.order[from:to] {
		if fit(node) {
			found = append(found, node)
		}
	}
	slices.SortFunc(found[begin:], func(a, b int) int { return cmp.Compare(t.keys[a]^key, t.keys[b]^key) })
	return found
}

// near is what a node answers: the closest to a key that its routing table
// has, at most Bucket.
func (t *Table) near(node int, key Key) []int {
	own := t.keys[node]
	common := bits.LeadingZeros64(uint64(own ^ key))
	var found []int
	// The bucket of the key is nearest. Then come the ones after it, whose nodes
	// share with this node what the key does and more, then those before it.
	for i := common; i < 64 && len(found) < t.params.Bucket; i++ {
		bucket := t.bucket(node, i)
		if len(bucket) == 0 && t.alone(own, i) {
			break
		}
		found = append(found, bucket...)
	}
	for i := common - 1; i >= 0 && len(found) < t.params.Bucket; i-- {
		found = append(found, t.bucket(node, i)...)
	}
	slices.SortFunc(found, func(a, b int) int { return cmp.Compare(t.keys[a]^key, t.keys[b]^key) })
	return found[:min(len(found), t.params.Bucket)]
}

// alone reports whether no other node shares more than i leading bits with a
// key of a node.
func (t *Table) alone(own Key, i int) bool {
	from, to := t.span(own, i+1)
	return to-from <= 1
}

// span is the places in order of those keys that share so many leading bits.
func (t *Table) span(own Key, shared int) (from, to int) {
	if shared <= 0 {
		return 0, len(t.sorted)
	}
	if shared >= 64 {
		shared = 64
	}
	low := own &^ (^Key(0) >> shared)
	high := low | (^Key(0) >> shared)
	from, _ = slices.BinarySearch(t.sorted, low)
	to, exact := slices.BinarySearch(t.sorted, high)
	if exact {
		to++
	}
	return from, to
}

// bucket is up to Bucket nodes that share exactly i leading bits with a node:
// always the same, and drawn anew for each node.
func (t *Table) bucket(node, i int) []int {
	other := t.keys[node] ^ 1<<(63-i)
	from, to := t.span(other, i+1)
	n := to - from
	take := min(n, t.params.Bucket)
	bucket := make([]int, 0, take)
	// A walk with a stride that has no divisor in common with n meets each once.
	h := mix(t.seed ^ uint64(node)<<8 ^ uint64(i))
	at := 0
	if n > 0 {
		at = int(h % uint64(n))
	}
	stride := coprime(int(h>>32%uint64(max(n, 1))), n)
	for range take {
		bucket = append(bucket, t.order[from+at])
		at = (at + stride) % n
	}
	return bucket
}

func coprime(x, n int) int {
	for x = max(x, 1); gcd(x, n) > 1; {
		x++
	}
	return x
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// mix is splitmix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
