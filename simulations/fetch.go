package simulations

import (
	"slices"
	"time"

	"github.com/buildnet/buildnet/dht/rendezvous"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations/trace"
)

// What package dht has for small blobs.
const (
	// largeFrom is dht.Large: blobs from there on come by themselves.
	largeFrom = 1 << 20
	// stallTime is how long a peer may make no progress before it counts as hung
	// (dht/stream.go), avoidTime how long it is asked last then (dht/blame.go).
	stallTime = 3 * time.Second
	avoidTime = 15 * time.Second
	// nearTime is how long a near owner of locations is waited for; a far one
	// gets four round trips (dht/find.go).
	nearTime = 20 * time.Millisecond
	// maxAsked members are asked directly when nobody knows a holder.
	maxAsked = 32
	// avoidBytes is what a doubtful peer seems to have to send (dht/small.go).
	avoidBytes = 1 << 50
)

// flight is a blob on its way to a node.
type flight struct {
	hints []int
	then  []func(ok bool)
}

// inputs brings the action of a job and all that it reads.
func (n *node) inputs(j *job, done func(*steal.Failure, int64)) {
	w := n.w
	action := w.blob(j.key.action)
	hints := j.holders
	if j.p.b.spec.Modes.Local {
		done(n.lacks(w.act(j.key.action).inputs), 0)
		return
	}
	var moved int64
	rest := func(why string, bytes int64) {
		moved += bytes
		if why != "" {
			done(&steal.Failure{Kind: steal.MissingBlob, Text: why}, moved)
			return
		}
		n.fetch(w.act(j.key.action).inputs, hints, func(why string, bytes int64) {
			moved += bytes
			if why != "" {
				done(&steal.Failure{Kind: steal.MissingBlob, Text: why}, moved)
				return
			}
			done(nil, moved)
		})
	}
	if action.has(n) {
		rest("", 0)
		return
	}
	n.fetch([]*blob{action}, hints, func(why string, bytes int64) {
		// The command and the directories come before the files.
		n.later(w.net.RTT(n.place, j.p.b.spec.Initiator), func() { rest(why, bytes) })
	})
}

// lacks says whether a blob is not here that nobody else is asked for.
func (n *node) lacks(blobs []*blob) *steal.Failure {
	if slices.ContainsFunc(blobs, func(b *blob) bool { return !b.has(n) }) {
		return &steal.Failure{Kind: steal.MissingBlob, Text: "an input is not here"}
	}
	return nil
}

// fetching is one call of DHT.Fetch.
type fetching struct {
	n     *node
	life  int // of n, when it was called
	hints []int
	left  int // blobs that are not here yet and not given up
	moved int64
	why   string // what was given up last
	done  func(why string, moved int64)
}

// fetch brings blobs here that are not. done is called once, maybe at once,
// with what nobody could give.
func (n *node) fetch(blobs []*blob, hints []int, done func(why string, moved int64)) {
	f := &fetching{n: n, life: n.life, hints: hints, done: done}
	var small []*want
	var missing []*blob
	for _, b := range blobs {
		if !b.has(n) && !slices.Contains(missing, b) {
			missing = append(missing, b)
		}
	}
	f.left = 1 + len(missing)
	for _, b := range missing {
		switch {
		case n.flights[b] != nil:
			f.await(b)
		case b.size() >= largeFrom:
			f.board(b)
			n.fetchLarge(f, b)
		default:
			f.board(b)
			small = append(small, &want{blob: b})
		}
	}
	if len(small) > 0 {
		s := &smalls{fetching: f, wants: small}
		s.add(hints)
		s.drain()
	}
	f.end("")
}

func (f *fetching) board(b *blob) {
	if f.n.flights == nil {
		f.n.flights = map[*blob]*flight{}
	}
	f.n.flights[b] = &flight{hints: f.hints}
}

// await waits for another's flight. One that failed for want of hints that
// this call has is tried again.
func (f *fetching) await(b *blob) {
	other := f.n.flights[b]
	other.then = append(other.then, func(ok bool) {
		knowsMore := slices.ContainsFunc(f.hints, func(h int) bool { return !slices.Contains(other.hints, h) })
		switch {
		case ok:
			f.end("")
		case knowsMore:
			f.n.fetch([]*blob{b}, f.hints, func(why string, moved int64) {
				f.moved += moved
				f.end(why)
			})
		default:
			f.end(nobody)
		}
	})
}

// nobody is why a fetch fails.
const nobody = "no reachable member holds the blob; run the step that makes it again"

// land ends a flight: the blob is here, or nobody has it.
func (f *fetching) land(b *blob, ok bool) {
	n := f.n
	flight := n.flights[b]
	delete(n.flights, b)
	why := nobody
	if ok {
		b.add(n)
		f.moved += b.size()
		why = ""
	}
	if flight != nil {
		for _, then := range flight.then {
			then(ok)
		}
	}
	f.end(why)
}

func (f *fetching) end(why string) {
	if why != "" {
		f.why = why
	}
	if f.left--; f.left == 0 && f.life == f.n.life { // what a node waited for ends with it
		f.done(f.why, f.moved)
	}
}

// want is one blob that is not here yet.
type want struct {
	blob           *blob
	holders, tried []int
}

// smalls are the small blobs of a fetch, which share frames.
type smalls struct {
	*fetching
	wants  []*want
	source int
	asked  int // requests that are out
}

func (s *smalls) add(holders []int) {
	for _, w := range s.wants {
		w.holders = append(w.holders, holders...)
	}
}

// drain asks holders until every blob left has no untried one, and goes to the
// next source then.
func (s *smalls) drain() {
	groups, keys := s.assign()
	if len(keys) == 0 {
		s.next()
		return
	}
	s.asked = len(keys)
	for _, place := range keys {
		s.get(place, groups[place])
	}
}

// assign gives each blob to one holder that was not tried for it: one that is
// not in doubt, with the fewest bytes to send so far (dht/small.go).
func (s *smalls) assign() (groups map[int][]*want, order []int) {
	groups, load := map[int][]*want{}, map[int]int64{}
	cost := func(place int) int64 {
		if s.n.doubts(place) {
			return load[place] + avoidBytes
		}
		return load[place]
	}
	for _, w := range s.wants {
		best := -1
		for _, place := range w.holders {
			if place != s.n.place && !slices.Contains(w.tried, place) && (best < 0 || cost(place) < cost(best)) {
				best = place
			}
		}
		if best < 0 {
			continue
		}
		w.tried = append(w.tried, best)
		load[best] += w.blob.size()
		if groups[best] == nil {
			order = append(order, best)
		}
		groups[best] = append(groups[best], w)
	}
	return groups, order
}

// get asks one holder for some blobs.
func (s *smalls) get(place int, wants []*want) {
	answered := false
	var have []*want
	s.n.call(place, frameBytes*len(wants), func(to *node) (int, int64) {
		var size int64
		for _, w := range wants {
			if w.blob.has(to) && !to.fails() {
				have = append(have, w)
				size += w.blob.size()
				to.sent(s.n, w.blob, w.blob.size())
			}
		}
		return frameBytes, size
	}, func(bool) {
		if answered {
			return
		}
		answered = true
		for _, w := range have {
			s.wants = slices.DeleteFunc(s.wants, func(o *want) bool { return o == w })
			s.land(w.blob, true)
		}
		if s.asked--; s.asked == 0 && len(s.wants) > 0 {
			s.drain()
		}
	})
}

// next looks for holders at the next source: the owners of the locations, the
// DHT across cells, all members.
func (s *smalls) next() {
	s.source++
	switch s.source {
	case 1:
		s.locate()
	case 2:
		s.look()
	case 3:
		s.askAll()
	default:
		for _, w := range slices.Clone(s.wants) {
			s.land(w.blob, false)
		}
	}
}

func (s *smalls) locate() {
	left := len(s.wants)
	for _, w := range slices.Clone(s.wants) {
		s.n.locate(w.blob, func(found []int) {
			w.holders = append(w.holders, found...)
			if left--; left == 0 {
				s.drain()
			}
		})
	}
}

func (s *smalls) look() {
	left := len(s.wants)
	for _, w := range slices.Clone(s.wants) {
		s.n.foreignHolders(w.blob, func(found []int) {
			w.holders = append(w.holders, found...)
			if left--; left == 0 {
				s.drain()
			}
		})
	}
}

// askAll asks members which of the blobs they have.
func (s *smalls) askAll() {
	ids := rendezvous.Rank(s.n.peers(nil), s.wants[0].blob.digest, maxAsked)
	members := without(placesOf(ids), s.n.place)
	left := len(members)
	if left == 0 {
		s.drain()
		return
	}
	for _, place := range members {
		s.n.call(place, frameBytes, func(to *node) (int, int64) {
			for _, w := range s.wants {
				if w.blob.has(to) {
					w.holders = append(w.holders, place)
				}
			}
			return frameBytes, 0
		}, func(bool) {
			if left--; left == 0 {
				s.drain()
			}
		})
	}
}

// locate asks the owners of a blob's location who has it.
func (n *node) locate(b *blob, done func([]int)) {
	owners := n.ownersOf(b.digest)
	left := 1
	var found []int
	add := func(places []int) {
		for _, place := range places {
			if place != n.place && len(found) < maxLocations && !slices.Contains(found, place) {
				found = append(found, place)
			}
		}
	}
	end := func() {
		if left--; left == 0 {
			done(found)
		}
	}
	for _, owner := range owners {
		if owner == n.place {
			add(b.located(n))
			continue
		}
		left++
		over := false
		finish := func() {
			if !over {
				over = true
				end()
			}
		}
		var told []int
		n.call(owner, frameBytes, func(to *node) (int, int64) {
			told = b.located(to)
			return frameBytes, 0
		}, func(bool) {
			if !over {
				add(told)
			}
			finish()
		})
		n.later(max(nearTime, 4*n.w.net.RTT(n.place, owner)), finish)
	}
	end()
}

// call asks a peer something and comes back when the answer is here, or not ok
// when the peer made no progress for too long. do says how many bytes the
// answer has, and how many of blobs come behind them.
func (n *node) call(place int, bytes int, do func(to *node) (bytes int, blobs int64), done func(ok bool)) {
	to := n.w.nodes[place]
	over := false
	var answer *pipe
	end := func(ok bool) {
		if over {
			return
		}
		over = true
		if !ok {
			n.blame(place)
		}
		done(ok)
	}
	newPipe(n, to, func() { end(false) }).put(bytes, func() {
		answer = newPipe(to, n, nil)
		size, blobs := do(to)
		answer.putBlobs(size, blobs, func() { end(true) })
	})
	var watch func()
	watch = func() {
		// A long answer that is on its way is progress.
		if answer != nil && !over && answer.last > n.w.clock.now && answer.blocked == 0 && to.alive {
			n.later(stallTime, watch)
			return
		}
		end(false)
	}
	n.later(stallTime, watch)
}

// blame has a peer asked last for a while.
func (n *node) blame(place int) {
	if n.slow == nil {
		n.slow = map[int]time.Duration{}
	}
	n.slow[place] = n.w.clock.now + avoidTime
}

// doubts reports whether a holder is asked only where no other has a blob: it
// failed lately, or membership does not count it as alive.
func (n *node) doubts(place int) bool {
	until, slow := n.slow[place]
	return slow && n.w.clock.now < until || !n.believes(place)
}

// sent tells of bytes that go to another node.
func (n *node) sent(to *node, _ *blob, bytes int64) {
	n.w.traffic.Blobs[n.place] += bytes
	e := n.of(trace.Sent)
	e.Peer, e.Value = to.place, bytes
	n.w.tell(e)
}

// peers are those whom the node believes alive, itself included.
func (n *node) peers(ids []peer.ID) []peer.ID {
	n.eachAlive(func(m *node) { ids = append(ids, m.id) })
	return ids
}
