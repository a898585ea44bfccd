package steal

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store/digest"
)

// A build whose initiator is lost is gone on with by its heir: a member that
// brought to itself beforehand what the build began with and what it made so
// far. The heir asks for the rest as a build of its own, with the log of this
// one: see Bequest.

// HeirAfter is how long a leader leads before it names an heir: most builds are
// over by then, and are sooner repeated than bequeathed.
const HeirAfter = 500 * time.Millisecond

// bequeathable reports whether another member could ask for the rest of a build.
// What runs on the initiator alone has that user's rights; and while steps may be
// added the initiator alone knows which.
func (l *Leader) bequeathable() bool {
	return !l.opts.Plan.Modes.Local && !l.mayGrow() &&
		!slices.ContainsFunc(l.record.steps, func(s action.Step) bool { return s.Reach == action.InitiatorOnly })
}

// follow takes the word of the initiator that it has told what it knows.
func (l *Leader) follow() {
	if l.following {
		return
	}
	l.following = true
	if l.heritage.heir != "" && l.canInherit(l.heritage.heir) {
		l.nameHeir(l.heritage.heir)
		if l.heritage.ready {
			l.heirReady()
		}
	}
}

// Earlier reports whether a goes on with a build rather than b, where both were
// its heir and neither heard of the other: who ranks before, or those who rank
// before those who do not.
func (p *Plan) Earlier(a, b peer.ID) bool {
	rank := func(id peer.ID) int {
		if at := slices.Index(p.Candidates, id); at >= 0 {
			return at
		}
		return len(p.Candidates)
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b)) < 0
}

// heritage is the heir that the last leader had.
type heritage struct {
	heir  peer.ID
	ready bool
}

// appoint names an heir where there is none, or none that lives.
func (l *Leader) appoint() {
	if l.record.Ended || !l.following || !l.bequeath || l.now.Sub(l.openedAt) < HeirAfter || l.canInherit(l.record.Heir) {
		return
	}
	if heir := l.nextHeir(); heir != l.record.Heir {
		l.nameHeir(heir)
	}
}

// muchFaster is how many times the bandwidth of a standby another has to have to
// be the heir before it: what the heir brings to itself takes of the lines that
// the build needs.
const muchFaster = 2

// nextHeir is who is to be the heir: a standby, the first unless another's line is
// much faster, this node, or the first of the plan's candidates that can; empty if
// nobody can.
func (l *Leader) nextHeir() (heir peer.ID) {
	can := func(id peer.ID) bool { return l.canInherit(id) && l.crew[id].link == Up }
	for _, id := range l.record.Standbys {
		if can(id) && (heir == "" || l.crew[id].bandwidth() > muchFaster*l.crew[heir].bandwidth()) {
			heir = id
		}
	}
	if heir != "" {
		return heir
	}
	others := append([]peer.ID{l.opts.Self}, l.opts.Plan.Candidates...)
	if at := slices.IndexFunc(others, can); at >= 0 {
		return others[at]
	}
	return ""
}

// heirAgain is how long a member is not named again that could not be the heir.
const heirAgain = 30 * time.Second

func (l *Leader) canInherit(id peer.ID) bool {
	m, ok := l.crew[id]
	return ok && m.link != Gone && !m.mute && id != l.opts.Initiator && (m.declined.IsZero() || l.now.Sub(m.declined) >= heirAgain)
}

// declinedBy has another member be the heir.
func (l *Leader) declinedBy(m *member, why string) {
	if m.declined.IsZero() {
		l.append(Op{Kind: OpNote, Peer: m.id, Text: fmt.Sprintf("%s does not keep this build: %s", m.id.Short(), why)})
	}
	m.declined = l.now
	l.disinherit(m.id)
}

func (l *Leader) nameHeir(id peer.ID) {
	if m, ok := l.crew[id]; ok {
		l.rely(m)
		m.keeps = true
	}
	l.append(Op{Kind: OpHeir, Peer: id})
}

// heirReady logs that the heir could go on. What is announced from then on it
// has to know.
func (l *Leader) heirReady() {
	l.append(Op{Kind: OpReady, Peer: l.record.Heir})
	l.readyAt = uint64(len(l.log))
}

// disinherit notes that a member is of no use, which may be the heir.
func (l *Leader) disinherit(id peer.ID) {
	if id == l.record.Heir {
		l.nameHeir("")
		l.advance()
	}
}

func (l *Leader) fromHeir(m *member, msg Message) {
	switch msg := msg.(type) {
	case Decline:
		l.declinedBy(m, msg.Text)
	case Follow:
		if !l.record.Ready {
			l.heirReady()
		}
	case Secured:
		if r := &l.record.Steps[msg.Step]; !r.Held && r.isOf(msg.Action) {
			l.append(Op{Kind: OpHeld, Step: msg.Step, Peer: l.record.Heir})
		}
	}
}

// heirKeeps is how far the heir keeps the log, as far as it is of use to it.
func (l *Leader) heirKeeps() uint64 {
	if kept := l.crew[l.record.Heir].logAcked; kept >= l.readyAt {
		return kept
	}
	return 0
}

// keepers are those who are sent the log.
func (l *Leader) keepers() []peer.ID {
	ids := append([]peer.ID{l.opts.Initiator}, l.record.Standbys...)
	if heir := l.record.Heir; heir != "" && !slices.Contains(ids, heir) {
		ids = append(ids, heir)
	}
	return ids
}

// abandon ends a build whose initiator is lost; its heir may go on.
func (l *Leader) abandon() {
	last := heritage{l.record.Heir, l.record.Ready}
	if !l.following {
		last = l.heritage
	}
	if last.ready && l.canInherit(last.heir) {
		l.ship()
		l.endAs(Orphaned)
		return
	}
	l.end()
}

func (r *Record) appoint(heir peer.ID) {
	r.Heir, r.Ready = heir, false
	for i := range r.Steps {
		r.Steps[i].Held = false
	}
}

// Bequest is the log of a build for another to go on with, who lacks whatever
// the initiator had, and whose crew has nothing of it in hand. What the
// initiator itself ran is lost with it.
func Bequest(log []Op, initiator peer.ID) []Op {
	left := make([]Op, 0, len(log))
	for _, op := range log {
		switch op.Kind {
		case OpSecured, OpHeld, OpHeir, OpReady, OpStandbys, OpEnded, OpGone, OpMode, OpAdded, OpShut:
			continue
		case OpStarted, OpStopped, OpBackup:
			if op.Peer != initiator {
				continue
			}
		}
		left = append(left, op)
	}
	return left
}

// Inherit says that this node is to go on with a build: to ask for the rest of
// its plan with Log, under another name.
type Inherit struct {
	// Initiator is lost, as far as the build's last leader knows.
	Initiator peer.ID
	// Plan is that of Custody, without what was added.
	Plan digest.Digest
	Log  []Op
}

// Custody names what an heir is to bring to itself. Added are the steps of an open
// build, which is shut, beyond its plan: it goes on with both as one plan, see
// Plan.With.
type Custody struct {
	Initiator peer.ID
	Plan      digest.Digest
	Added     []action.Step
}

// custody is what a Keeper has as its build's heir.
type custody struct {
	// kept says that all is here that the build began with.
	kept    bool
	brought map[Step]*Done
	// whole is the log of the last epoch, until the present one's has all that
	// the initiator announced.
	whole []Op
}

// heirs looks at ops that are new in the log.
func (k *Keeper) heirs(ops []Op, out *KeeperOutput) {
	for i := range ops {
		switch op := &ops[i]; {
		case op.Kind == OpHeir:
			k.appointed(op.Peer, out)
		case op.Kind == OpDone && k.custody != nil:
			k.bring(op, out)
		}
	}
}

func (k *Keeper) appointed(heir peer.ID, out *KeeperOutput) {
	switch {
	case heir != k.self:
		if k.custody != nil {
			k.custody, out.Keep, out.Brings, out.Drop = nil, nil, nil, true
		}
		return
	case k.custody == nil:
		k.declines = ""
		k.custody = &custody{brought: map[Step]*Done{}}
		out.Keep, out.Drop = &Custody{Initiator: k.hello.Initiator, Plan: k.hello.Plan, Added: added(k.copy.ops)}, false
		for i := range k.copy.ops {
			if k.copy.ops[i].Kind == OpDone {
				k.bring(&k.copy.ops[i], out)
			}
		}
		return
	case k.custody.kept:
		out.Replies = append(out.Replies, Reply{To: k.watch.lead, Msg: Follow{}})
	}
	k.custody.whole = nil
}

func (k *Keeper) bring(op *Op, out *KeeperOutput) {
	if d := k.custody.brought[op.Step]; op.Done == nil || d != nil && sameDone(d, op.Done) {
		return
	}
	k.custody.brought[op.Step] = op.Done
	out.Brings = append(out.Brings, Securing{Step: op.Step, Done: op.Done})
}

// Kept tells that all that the plan begins with is here.
func (k *Keeper) Kept(now time.Time) KeeperOutput {
	if k.over || k.custody == nil {
		return KeeperOutput{}
	}
	k.custody.kept = true
	return k.tell(now, Follow{})
}

// Held tells that the outputs of one of Brings are here.
func (k *Keeper) Held(now time.Time, s Step, d *Done) KeeperOutput {
	if k.over || k.custody == nil || k.custody.brought[s] != d || d.Peer != k.hello.Initiator {
		return KeeperOutput{}
	}
	return k.tell(now, Secured{Step: s, Action: d.Entry.Action})
}

// Decline tells that this node cannot be the heir. What it is asked for as one
// needs no answer any more.
func (k *Keeper) Decline(now time.Time, why string) KeeperOutput {
	if k.over || k.custody == nil {
		return KeeperOutput{}
	}
	k.custody, k.declines = nil, why
	return k.tell(now, Decline{Text: why})
}

func (k *Keeper) tell(now time.Time, msg Message) KeeperOutput {
	if !k.watch.up {
		return KeeperOutput{}
	}
	k.told = now
	return KeeperOutput{Replies: []Reply{{To: k.watch.lead, Msg: msg}}}
}

// quit is the end of the build here. An heir goes on with it, unless it is over
// for everybody.
func (k *Keeper) quit(why Reason) KeeperOutput {
	k.over = true
	out := KeeperOutput{Over: true}
	if log := k.bequest(); log != nil && why == Orphaned {
		out.Inherit = &Inherit{Initiator: k.hello.Initiator, Plan: k.hello.Plan, Log: Bequest(log, k.hello.Initiator)}
	}
	return out
}

// bequest is a log with all that was announced, or nil.
func (k *Keeper) bequest() []Op {
	switch {
	case k.custody == nil || !k.custody.kept:
		return nil
	case k.copy.isHeir(k.self):
		return k.copy.ops
	default:
		return k.custody.whole
	}
}

// isHeir reports whether the log says that a node is the heir, and is ready.
func (c *logCopy) isHeir(id peer.ID) bool { return c.heir == id && c.ready }
