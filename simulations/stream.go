package simulations

import (
	"time"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
)

const (
	// openTime bounds how long a stream may take to open and to be answered, and
	// flushTime is what one has to carry its last messages (sched/link.go).
	openTime  = 2 * time.Second
	flushTime = time.Second
)

// stream is one that a leader opened to a member of its crew.
type stream struct {
	l        *leading
	to       *node
	hello    steal.Hello
	at       *party // the member's end, once it is attached
	down, up *pipe
	opened   bool // answered, and told to the leader
	over     bool // at the leader's end
}

// dial opens a stream: a handshake, then Hello, and the answer.
func (l *leading) dial(d steal.Dial) {
	to := l.n.w.node(d.To)
	st := &stream{l: l, to: to, hello: d.Hello}
	st.down = newPipe(l.n, to, st.lost)
	st.up = newPipe(to, l.n, nil)
	st.down.take = st.told
	st.up.take = func(m steal.Message) { l.hears(st, m) }
	l.n.later(openTime, func() {
		if !st.opened && !st.over {
			st.failed()
		}
	})
	st.down.shake(l.n.w.net.RTT(l.n.place, to.place))
	st.down.put(sizeOf(d.Hello), func() { st.welcome() })
}

// failed tells that a dial came to nothing.
func (st *stream) failed() {
	st.cutDown()
	if !st.l.over {
		st.l.do(st.l.machine.Closed(st.l.n.clock(), st.to.id))
	}
}

// welcome takes Hello at the member.
func (st *stream) welcome() {
	st.to.reconcile(st.l.b)
	if by := st.to.occupied(st.l.b); by != nil {
		st.reply(steal.Occupied{Build: by.id, Initiator: idOf(by.spec.Initiator)})
		st.finishUp()
		return
	}
	p := st.to.party(st.l.b, maxBuilds)
	if p == nil {
		st.resetUp()
		return
	}
	p.attach(st)
}

// send carries a message of the leader.
func (st *stream) send(m steal.Message) { st.down.say(m) }

// told takes a message at the member.
func (st *stream) told(m steal.Message) {
	if st.at != nil && !st.at.gone {
		st.at.take(st, m)
	}
}

// reply carries a message to the leader. The first one says that the stream
// stands.
func (st *stream) reply(m steal.Message) { st.up.say(m) }

// hears takes a message at the leader.
func (l *leading) hears(st *stream, m steal.Message) {
	if l.over || st.over {
		return
	}
	if _, ok := m.(steal.Occupied); ok && !st.opened {
		if initiator := l.links[l.b.spec.Initiator]; initiator != nil {
			initiator.send(m)
		}
		st.cutDown()
		l.do(l.machine.Occupied(l.n.clock(), st.to.id))
		return
	}
	if !st.opened {
		st.opened = true
		if old := l.links[st.to.place]; old != nil {
			old.cutDown()
		}
		l.links[st.to.place] = st
		l.do(l.machine.Opened(l.n.clock(), st.to.id))
	}
	if l.links[st.to.place] == st {
		l.heard(st, m)
		l.messages++
		l.do(l.machine.Receive(l.n.clock(), st.to.id, m))
	}
}

// lost tells the leader's end that the other one is no more.
func (st *stream) lost() {
	switch l := st.l; {
	case l.over || st.over:
	case !st.opened:
		st.failed()
	case l.links[st.to.place] == st:
		st.over = true
		delete(l.links, st.to.place)
		l.do(l.machine.Closed(l.n.clock(), st.to.id))
	}
}

// finishDown ends the stream at the leader when what was sent has got there.
func (st *stream) finishDown() {
	st.over = true
	st.down.put(endBytes, st.ended)
	st.l.n.w.after(flushTime, st.cutDown)
}

// cutDown ends the stream at the leader at once: what is on the way is lost.
// The member hears of it when it can.
func (st *stream) cutDown() {
	st.over = true
	if !st.down.closed {
		st.down.close()
		if st.to.alive {
			end := newPipe(st.l.n, st.to, nil)
			end.put(endBytes, st.ended)
		}
	}
}

// ended takes the end of the stream at the member.
func (st *stream) ended() {
	if st.at == nil {
		return
	}
	p := st.at
	p.detach(st)
	st.up.close()
	p.leave()
}

// finishUp ends the stream at the member in order.
func (st *stream) finishUp() { st.up.put(endBytes, st.lost) }

// resetUp ends the stream at the member at once.
func (st *stream) resetUp() {
	if !st.up.closed {
		st.up.close()
		end := newPipe(st.to, st.l.n, nil)
		end.put(endBytes, st.lost)
	}
}

// broken cuts the stream; both ends hear of it after a while.
func (st *stream) broken() {
	st.down.close()
	st.up.close()
	rtt := st.l.n.w.net.RTT(st.l.n.place, st.to.place)
	st.l.n.later(rtt/2, st.lost)
	st.to.later(rtt, st.ended)
}

// endBytes is the end of a stream on the wire.
const endBytes = 40

// sizeOf is what a message is on the wire in bytes, about: it is encoded and
// encrypted (sched/codec.go).
func sizeOf(m steal.Message) int {
	const frame, step, name = 60, 40, 52
	switch m := m.(type) {
	case steal.Hello:
		return frame + 2*name + len(m.Have) + name*len(m.Specs)
	case steal.Append:
		size := frame
		for i := range m.Ops {
			size += step + name*len(m.Ops[i].Peers) + len(m.Ops[i].Text)
			if d := m.Ops[i].Done; d != nil {
				size += doneBytes
			}
			size += bytesOf(m.Ops[i].Steps)
		}
		return size
	case steal.Add:
		return frame + bytesOf(m.Steps)
	case steal.Assign:
		return frame + 2*step + name*len(m.Holders)
	case steal.Report, steal.Known:
		return frame + doneBytes
	case steal.Join:
		return frame + step*len(m.Running) + name*len(m.Toolchains)
	case steal.Status:
		return frame + 2*len(m.Running)
	case steal.Tidings:
		return frame + name*(len(m.Placements)+len(m.Advances)+2*len(m.Statuses))
	default:
		return frame
	}
}

// bytesOf are steps that are added to a build.
func bytesOf(steps []action.Step) (size int) {
	for i := range steps {
		size += steps[i].Size()
	}
	return size
}

// doneBytes is a signed result with one output.
const doneBytes = 330
