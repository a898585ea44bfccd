package steal

import (
	"slices"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/store/digest"
)

// maxLogBytes bounds a log that is kept for a leader, roughly: twice that of
// action.MaxSteps steps with a few outputs each. What is beyond it is not
// acknowledged.
const maxLogBytes = 512 << 20

// TakeOver says that this node is to lead from now on.
type TakeOver struct {
	Epoch       Epoch
	Initiator   peer.ID
	Predecessor peer.ID // empty for a new build
	// Plan is the blob to lead with; the initiator has it, and so may others.
	Plan digest.Digest
	// Log is what LeaderOptions.Log is to be.
	Log []Op
}

// KeeperOutput is what a call to a Keeper wants done.
type KeeperOutput struct {
	Replies []Reply
	// TakeOver, if not nil, is to be done: fetch the plan (of which nothing
	// needs to be here yet), make a Leader with it, and drive that.
	TakeOver *TakeOver
	// Keep, if not nil, makes this node the build's heir: all that the plan
	// begins with is to be brought here, which Kept answers. Brings are results
	// whose outputs are to be brought here as well, which Held answers. Drop says
	// that it is the heir no more.
	Keep   *Custody
	Brings []Securing
	Drop   bool
	// Inherit, if not nil, is to be done: see there.
	Inherit *Inherit
	// Over says that the build is over here: forget the machine.
	Over bool
}

// Keeper is the machine of one member that may have to take a build over. Any
// member of a crew has one; it waits until a leader names it a standby and
// sends it its log.
type Keeper struct {
	self  peer.ID
	guard guard
	watch watch
	copy  logCopy
	hello Hello
	told  time.Time // when the leader last heard of it
	over  bool

	custody *custody // nil unless it is the heir
	// declines says why it was the heir in this epoch and could not be.
	declines string
}

// NewKeeper returns the keeper of a build at this node. heard is the highest
// epoch that the node has heard of in it, or was to begin: what a keeper before
// wanted to take over may begin yet, from an older log than the one that this
// keeper is sent by a lower epoch.
func NewKeeper(self peer.ID, heard Epoch) *Keeper {
	return &Keeper{self: self, guard: guard{highest: heard}}
}

// Tick tells the time. It is to be called when it is Due.
func (k *Keeper) Tick(now time.Time) KeeperOutput {
	k.watch.woke(now, k.Due())
	switch {
	case k.over || k.watch.lead == (Epoch{}):
		return KeeperOutput{}
	case k.watch.silence(now) >= Bereft:
		return k.quit(Orphaned)
	}
	turn, stands := k.turn()
	switch {
	case !stands:
		return KeeperOutput{}
	case !k.watch.lost(now, turn):
		return k.beat(now)
	}
	if k.copy.ended {
		// Its End got lost. All was done and is with the initiator, which leads
		// itself if it has not heard so.
		return k.quit(Orphaned)
	}
	t := &TakeOver{
		Epoch: Epoch{Number: k.guard.highest.Number + 1, Leader: k.self}, Initiator: k.hello.Initiator,
		Predecessor: k.watch.lead.Leader, Plan: k.hello.Plan, Log: k.copy.ops,
	}
	k.follow(now, t.Epoch)
	k.watch.up = false // until the own leader's Hello
	return KeeperOutput{TakeOver: t}
}

// turn is how much longer than the first in line this standby waits before it
// takes over. The leader itself is none.
func (k *Keeper) turn() (longer time.Duration, stands bool) {
	at := slices.Index(k.copy.standbys, k.self)
	return time.Duration(at) * stagger, at >= 0 && k.watch.lead.Leader != k.self
}

// beat says that a standby lives: announcements wait for it.
func (k *Keeper) beat(now time.Time) KeeperOutput {
	if !k.watch.up || now.Sub(k.told) < k.watch.pace() {
		return KeeperOutput{}
	}
	k.told = now
	return KeeperOutput{Replies: []Reply{{To: k.watch.lead, Msg: Beat{}}}}
}

// Due is when the next Tick has something to do, if nothing else comes before;
// zero if never.
func (k *Keeper) Due() time.Time {
	if k.over || k.watch.lead == (Epoch{}) {
		return time.Time{}
	}
	due := k.watch.heard.Add(Bereft)
	turn, stands := k.turn()
	if !stands {
		return due
	}
	due = earlier(due, k.watch.due(turn))
	if k.watch.up {
		due = earlier(due, k.told.Add(k.watch.pace()))
	}
	return due
}

// Receive takes a message of a leader's stream.
func (k *Keeper) Receive(now time.Time, of Epoch, msg Message) KeeperOutput {
	switch {
	case k.over:
		return KeeperOutput{}
	case !k.guard.admit(of):
		// The Hand does not know of an epoch that has been taken over here and has
		// not begun yet. Without a word the old leader would wait for ever for the
		// acknowledgement of a standby.
		return KeeperOutput{Replies: []Reply{{To: of, Msg: Refuse{Epoch: k.guard.highest}}}}
	}
	if hello, ok := msg.(Hello); ok {
		if of != k.watch.lead {
			k.follow(now, of)
		}
		k.hello = hello
		k.watch.opened(now)
		if k.declines != "" {
			return k.tell(now, Decline{Text: k.declines})
		}
		return KeeperOutput{}
	}
	if of != k.watch.lead || !k.watch.up {
		return KeeperOutput{}
	}
	k.watch.hear(now)
	k.watch.heed(msg)
	switch msg := msg.(type) {
	case Append:
		known := k.copy.len()
		if k.copy.add(msg) {
			k.told = now
			out := KeeperOutput{Replies: []Reply{{To: of, Msg: Ack{Index: k.copy.len()}}}}
			k.heirs(k.copy.ops[known:], &out)
			return out
		}
	case End:
		return k.quit(msg.Reason)
	}
	return KeeperOutput{}
}

// Led reports whether the build has a leader here that was heard lately.
func (k *Keeper) Led(now time.Time) bool {
	return !k.over && k.watch.lead != (Epoch{}) && !k.watch.lost(now, 0)
}

// Closed tells that the stream of the epoch broke.
func (k *Keeper) Closed(now time.Time, of Epoch) KeeperOutput {
	if of == k.watch.lead {
		k.watch.closed(now)
	}
	return KeeperOutput{}
}

// follow serves another epoch: its log is a whole one, the old one is dropped.
func (k *Keeper) follow(now time.Time, e Epoch) {
	k.guard.admit(e)
	k.watch.follow(now, e)
	if k.custody != nil && k.copy.isHeir(k.self) {
		k.custody.whole = k.copy.ops
	}
	k.copy, k.declines = logCopy{}, ""
}

// logCopy is a leader's log as others keep it.
type logCopy struct {
	ops      []Op
	standbys []peer.ID
	heir     peer.ID
	ready    bool
	bytes    int
	ended    bool // nothing is left to do
}

func (c *logCopy) len() uint64 { return uint64(len(c.ops)) }

// add takes what is new in a message, and reports whether it fits.
func (c *logCopy) add(a Append) bool {
	if a.First == 0 || a.First > c.len()+1 {
		return false
	}
	known := min(c.len()+1-a.First, uint64(len(a.Ops)))
	size := c.bytes
	for i := range a.Ops[known:] {
		size += a.Ops[known:][i].size()
	}
	if size > maxLogBytes {
		return false
	}
	c.bytes = size
	for _, op := range a.Ops[known:] {
		switch op.Kind {
		case OpStandbys:
			c.standbys = op.Peers
		case OpHeir:
			c.heir, c.ready = op.Peer, false
		case OpReady:
			c.ready = true
		case OpEnded:
			c.ended = true
		}
		c.ops = append(c.ops, op)
	}
	return true
}
