package simulations

import (
	"slices"
	"time"

	"github.com/buildnet/buildnet/sched/steal"
)

const (
	// pipeIdle is when QUIC gives a connection up on which nothing came
	// (quic-go as libp2p sets it: MaxIdleTimeout).
	pipeIdle = 30 * time.Second
	// firstRetry and maxRetry bound the pauses in which it is seen whether a way
	// is open again. QUIC doubles its timeout (RFC 9002, section 6.2.1), but
	// what is sent anew, as beats are, goes on its way all the same, and its
	// acknowledgement shows what was lost before.
	firstRetry = 25 * time.Millisecond
	maxRetry   = 100 * time.Millisecond
	// within is what a message takes from a node to itself.
	within = 20 * time.Microsecond
	// compactFrom parcels that have arrived their place is used again.
	compactFrom = 64
	// bulkFrom bytes are not on their way in one go.
	bulkFrom = 64 << 10
)

// pipe is one direction of a stream: what is put in comes out at the other
// node, in order, while both live. It waits out a split.
type pipe struct {
	from, to         *node
	fromLife, toLife int
	// lost is called at the sender when the other end is known to be no more.
	lost func()
	// take takes the messages of a build, which are so many that each of them
	// goes without a function of its own.
	take func(steal.Message)

	// early is what was put in while the handshake goes on, if shaking.
	early   []freight
	shaking bool

	parcels []parcel
	head    int
	busy    bool // the first parcel is on its way
	closed  bool
	last    time.Duration
	blocked time.Duration // for how long, so far
	retry   time.Duration
	deliver func()
}

type parcel struct {
	at time.Duration
	// bulk is on its way for long, and ends with its sender.
	bulk bool
	do   func()
	msg  steal.Message // instead of do
}

// freight is a parcel and what it is on the line.
type freight struct {
	bytes, blobs int
	parcel
}

func newPipe(from, to *node, lost func()) *pipe {
	p := &pipe{from: from, to: to, fromLife: from.life, toLife: to.life, lost: lost}
	p.deliver = p.arrive
	return p
}

// shake has a handshake come before all that is put in: until it is over
// nothing goes on the line.
func (p *pipe) shake(d time.Duration) {
	if d <= 0 {
		return
	}
	p.shaking = true
	p.from.later(d, func() {
		p.shaking = false
		early := p.early
		p.early = nil
		for _, f := range early {
			p.send(f)
		}
	})
}

// put sends bytes; do is done where they arrive.
func (p *pipe) put(bytes int, do func()) { p.send(freight{bytes, 0, parcel{do: do}}) }

// putBlobs sends bytes with the content of blobs behind them, which sent counts.
func (p *pipe) putBlobs(bytes int, blobs int64, do func()) {
	p.send(freight{bytes, int(blobs), parcel{do: do}})
}

// say sends a message to whoever takes them.
func (p *pipe) say(m steal.Message) { p.send(freight{sizeOf(m), 0, parcel{msg: m}}) }

// send puts something on the line, or keeps it until the handshake is over.
func (p *pipe) send(f freight) {
	switch {
	case p.closed:
		return
	case p.shaking:
		p.early = append(p.early, f)
		return
	}
	w := p.from.w
	now := w.clock.now
	at, all := now+within, f.bytes+f.blobs
	if p.from != p.to {
		at = w.net.Stream(now, p.from.place, p.to.place, all)
		w.traffic.Messages[p.from.place]++
		w.traffic.MessageBytes[p.from.place] += int64(f.bytes)
	}
	p.last = max(p.last, at)
	f.at, f.bulk = p.last, all > bulkFrom
	p.parcels = append(p.parcels, f.parcel)
	if !p.busy {
		p.busy = true
		w.at(p.last, p.deliver)
	}
}

// close forgets what has not arrived.
func (p *pipe) close() {
	p.closed, p.early, p.parcels, p.head = true, nil, nil, 0
}

// arrive delivers the first parcel.
func (p *pipe) arrive() {
	w := p.from.w
	switch {
	case p.closed:
		return
	case !p.to.alive:
		p.wait()
		return
	case p.to.life != p.toLife:
		p.miss()
		return
	}
	if p.to.stalled {
		p.to.inbox = append(p.to.inbox, p.deliver)
		return
	}
	if p.from != p.to && !w.net.Open(p.from.place, p.to.place) {
		p.wait()
		return
	}
	if p.parcels[p.head].bulk && !p.from.lives(p.fromLife) {
		p.close()
		return
	}
	p.blocked, p.retry = 0, 0
	what := p.parcels[p.head]
	p.parcels[p.head] = parcel{}
	p.head++
	if p.head == len(p.parcels) {
		p.parcels, p.head, p.busy = p.parcels[:0], 0, false
		p.hand(what)
		return
	}
	if p.head >= compactFrom && 2*p.head >= len(p.parcels) {
		p.parcels = slices.Delete(p.parcels, 0, p.head)
		p.head = 0
	}
	w.at(p.parcels[p.head].at, p.deliver)
	p.hand(what)
}

func (p *pipe) hand(what parcel) {
	if what.do != nil {
		what.do()
		return
	}
	p.take(what.msg)
}

// miss drops what cannot arrive any more: a node that was started again says so
// (stateless reset), if it can. One that is dead says nothing.
func (p *pipe) miss() {
	w := p.from.w
	if !w.net.Open(p.from.place, p.to.place) || !w.net.Open(p.to.place, p.from.place) {
		p.wait()
		return
	}
	p.close()
	if p.from.lives(p.fromLife) && p.lost != nil {
		p.from.later(w.net.RTT(p.from.place, p.to.place), p.lost)
	}
}

// wait tries again later. A sender that is dead does not.
func (p *pipe) wait() {
	w := p.from.w
	if !p.from.lives(p.fromLife) {
		p.close()
		return
	}
	p.retry = min(max(2*p.retry, firstRetry), maxRetry)
	p.blocked += p.retry
	if p.blocked < pipeIdle {
		w.after(p.retry, p.deliver)
		return
	}
	p.close()
	if p.lost != nil {
		p.from.later(0, p.lost)
	}
}
