package disk

import (
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/buildnet/buildnet/store/digest"
)

// named returns a digest of size bytes that nobody has.
func named(name string, size int64) digest.Digest {
	hash := digest.Of(digest.BLAKE3, []byte(name)).Hash()
	d, err := digest.New(digest.BLAKE3, hash[:], size)
	if err != nil {
		panic(err)
	}
	return d
}

// put takes a new blob in.
func (ix *index) put(name string, size, now int64) *blob {
	b := &blob{digest: named(name, size), used: now}
	ix.bytes += cost(size)
	ix.add(b)
	return b
}

const (
	second = int64(time.Second)
	hour   = int64(time.Hour)
)

func TestLargeBlobsGoSooner(t *testing.T) {
	const now = 100 * hour
	for what, c := range map[string]struct {
		small, large   int64 // when they were used
		size, copySize int64
		first          string
	}{
		"of one size by use":        {small: 1 * hour, large: 2 * hour, size: 100, first: "small"},
		"a large one of half":       {small: 50 * hour, large: 76 * hour, size: firstClass + 1, first: "small"},
		"a large one after half":    {small: 50 * hour, large: 74 * hour, size: firstClass + 1, first: "large"},
		"a larger one after an 8th": {small: 20 * hour, large: 89 * hour, size: 1 << 30, first: "large"},
		"a larger one before that":  {small: 20 * hour, large: 91 * hour, size: 1 << 30, first: "small"},
	} {
		ix := newIndex(1 << 40)
		ix.put("small", 100, c.small)
		ix.put("large", c.size, c.large)
		want := map[string]digest.Digest{"small": named("small", 100), "large": named("large", c.size)}[c.first]
		if got := ix.next(now); got == nil || got.digest != want {
			t.Errorf("%s: %v went, want the %s one", what, got, c.first)
		}
	}
}

func TestTheLastCopyStaysLonger(t *testing.T) {
	ix := newIndex(1 << 40)
	last := ix.put("last", 100, 60*hour)
	copied := ix.put("copied", 100, 89*hour)
	if got := ix.next(100 * hour); got != last {
		t.Fatalf("%v went before anybody knew of copies", got)
	}
	ix.copiedElsewhere(copied)
	if got := ix.brink(100*hour, 9); len(got) != 1 || got[0] != last.digest {
		t.Errorf("on the brink: %v", got)
	}
	if got := ix.next(100 * hour); got != copied {
		t.Errorf("%v went, and others have the copy", got.digest)
	}
	if got := ix.next(99 * hour); got != copied {
		t.Errorf("after less than a quarter %v went", got.digest)
	}
	ix.use(copied, 90*hour)
	if got := ix.next(100 * hour); got != last {
		t.Error("what was said of a copy outlived its next use")
	}
}

func TestCopiedBlobsKeepTheirOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ix := newIndex(1 << 40)
		var all []*blob
		for i := range 8 {
			all = append(all, ix.put(strconv.Itoa(i), 100, int64(i)*second))
		}
		for _, i := range rapid.Permutation([]int{0, 1, 2, 3, 4, 5, 6, 7}).Draw(t, "order") {
			ix.copiedElsewhere(all[i])
		}
		for _, want := range all {
			if got := ix.next(hour); got != want {
				t.Fatalf("%v went, want %v", got, want)
			}
			ix.remove(want)
		}
	})
}

// sizes of the blobs of a machine.
var sizes = map[string]int64{"a": 1, "b": 1, "c": 20_000, "d": 20_000, "e": 1 << 20, "f": 100}

// machine is the index and what is known of it otherwise.
type machine struct {
	ix     *index
	now    int64
	blobs  map[string]*blob
	until  map[string]int64 // of those that were promised
	leases map[string]int
}

// check compares the accounts.
func (m *machine) check(t *rapid.T) {
	var bytes, kept int64
	for name, b := range m.blobs {
		bytes += cost(b.digest.Size())
		if m.until[name] > m.now && b.until*term < m.until[name] {
			t.Fatalf("%s is promised until %d, the index says %d", name, m.until[name], b.until*term)
		}
		if b.until*term > m.now {
			kept += cost(b.digest.Size())
		}
	}
	m.ix.expire(m.now)
	for name, until := range m.until {
		_, awaited := m.ix.awaited[named(name, sizes[name])]
		here := m.blobs[name] != nil
		if awaited && (here || until+term <= m.now) || !awaited && !here && until > m.now {
			t.Fatalf("%s is awaited: %v, here: %v, promised for %d ns", name, awaited, here, until-m.now)
		}
	}
	waiting := m.ix.aside.Len()
	for i := range m.ix.queues {
		waiting += m.ix.queues[i].Len()
	}
	for _, p := range m.ix.terms {
		waiting += p.aside.Len()
	}
	if m.ix.bytes != bytes || m.ix.kept != kept || kept > m.ix.maxKept || waiting != len(m.blobs) || len(m.ix.blobs) != len(m.blobs) {
		t.Fatalf("%d bytes, %d of them kept, of %d blobs in %d places; want %d, %d and %d",
			m.ix.bytes, m.ix.kept, len(m.ix.blobs), waiting, bytes, kept, len(m.blobs))
	}
}

func (m *machine) free(name string) bool { return m.leases[name] == 0 && m.until[name] <= m.now }

// TestWhatIsWantedNeverGoes lets leases, promises, uses and evictions follow one
// another in any order.
func TestWhatIsWantedNeverGoes(t *testing.T) {
	names := slices.Sorted(maps.Keys(sizes))
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{
			ix: newIndex(1 << 21), now: 1000 * hour,
			blobs: map[string]*blob{}, until: map[string]int64{}, leases: map[string]int{},
		}
		name := rapid.SampledFrom(names)
		t.Repeat(map[string]func(*rapid.T){
			"": m.check,
			"use": func(t *rapid.T) {
				n := name.Draw(t, "blob")
				if b := m.blobs[n]; b != nil {
					m.ix.use(b, m.now)
					return
				}
				b := m.ix.put(n, sizes[n], m.now)
				m.blobs[n] = b
				if !m.ix.came(b, m.now) || m.until[n] <= m.now {
					m.until[n] = 0
				}
			},
			"wait": func(t *rapid.T) { m.now += rapid.Int64Range(1, 5*term).Draw(t, "time") },
			"hold": func(t *rapid.T) {
				n := name.Draw(t, "blob")
				m.leases[n]++
				m.ix.hold(named(n, sizes[n]))
			},
			"release": func(t *rapid.T) {
				n := name.Draw(t, "blob")
				if m.leases[n] > 0 {
					m.leases[n]--
					m.ix.release(map[digest.Digest]struct{}{named(n, sizes[n]): {}})
				}
			},
			"promise": func(t *rapid.T) {
				n := name.Draw(t, "blob")
				until := m.now + rapid.Int64Range(-term, 9*term).Draw(t, "for")
				promise := func() bool { return m.ix.await(named(n, sizes[n]), until, m.now) }
				if b := m.blobs[n]; b != nil {
					m.ix.use(b, m.now) // as Keep does
					promise = func() bool { return m.ix.promise(b, until, m.now) }
				}
				if promise() {
					m.until[n] = max(m.until[n], until)
				}
			},
			"copied": func(t *rapid.T) {
				if b := m.blobs[name.Draw(t, "blob")]; b != nil {
					m.ix.copiedElsewhere(b)
				}
			},
			"evict": func(t *rapid.T) {
				b := m.ix.next(m.now)
				for n, had := range m.blobs {
					switch {
					case had == b && !m.free(n):
						t.Fatalf("%s goes: %d leases, promised for %d ns", n, m.leases[n], m.until[n]-m.now)
					case b == nil && m.leases[n] == 0 && had.until*term <= m.now:
						t.Fatalf("nothing goes, and nobody wants %s", n)
					case had == b:
						m.ix.remove(b)
						delete(m.blobs, n)
					}
				}
			},
			"age": func(t *rapid.T) {
				for _, b := range m.ix.unused(m.now-2*term, m.now, 2) {
					for n, had := range m.blobs {
						if had != b {
							continue
						}
						if !m.free(n) || b.used >= m.now-2*term {
							t.Fatalf("%s is too old: %d leases, promised for %d ns, used %d ns ago", n, m.leases[n], m.until[n]-m.now, m.now-b.used)
						}
						delete(m.blobs, n)
					}
				}
			},
		})
	})
}

func TestAwaitedBlobsAreBounded(t *testing.T) {
	ix := newIndex(1 << 40)
	for i := range maxAwaited + 10 {
		if got := ix.await(named(strconv.Itoa(i), 1), hour, 0); got != (i < maxAwaited) {
			t.Fatalf("blob %d is awaited: %v", i, got)
		}
	}
	if !ix.await(named("0", 1), 2*hour, 0) {
		t.Error("one that is awaited is not awaited longer")
	}
	ix.expire(hour)
	if len(ix.awaited) != 1 || len(ix.terms) != 1 {
		t.Errorf("%d are awaited in %d terms when all but one are over", len(ix.awaited), len(ix.terms))
	}
	ix.expire(2 * hour)
	if len(ix.awaited)+len(ix.terms) != 0 {
		t.Errorf("%d are awaited for ever", len(ix.awaited))
	}
}

// TestLeasedBlobsAreMetOnce counts what an eviction looks at when much is leased.
func TestLeasedBlobsAreMetOnce(t *testing.T) {
	ix := newIndex(1 << 40)
	for i := range 1000 {
		b := ix.put(strconv.Itoa(i), 100, int64(i))
		if i%2 == 0 {
			ix.hold(b.digest)
		} else if !ix.promise(b, 10*hour, 0) {
			t.Fatal("no promise")
		}
	}
	free := ix.put("free", 100, 5000)
	if got := ix.next(hour); got != free {
		t.Fatalf("%v went", got)
	}
	if got := ix.queues[0].Len(); got != 1 {
		t.Errorf("%d blobs are in the way of the next eviction, want the free one", got)
	}
	all := map[digest.Digest]struct{}{}
	for i := 0; i < 1000; i += 2 {
		all[named(strconv.Itoa(i), 100)] = struct{}{}
	}
	ix.release(all)
	if got := ix.next(hour); got.digest != named("0", 100) {
		t.Errorf("after the leases %v went, want the oldest", got.digest)
	}
	if got := ix.next(11 * hour); got.digest != named("1", 100) || ix.queues[0].Len() != 1001 {
		t.Errorf("after the promises %v went of %d, want the oldest of those that came back", got.digest, ix.queues[0].Len())
	}
}
