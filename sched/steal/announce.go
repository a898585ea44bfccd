package steal

import (
	"fmt"
	"time"
)

// append takes ops of the leader's log.
func (o *Origin) append(a Append) {
	before := o.copy.len()
	if !o.copy.add(a) {
		return
	}
	for i := before; i < o.copy.len(); i++ {
		if err := o.apply(&o.copy.ops[i]); err != nil {
			o.note(-1, o.watch.lead.Leader, fmt.Sprintf("%s leads no more: %v", o.watch.lead.Leader.Short(), err))
			o.copy.ops = o.copy.ops[:i]
			o.watch.up = false
			o.takeOver()
			return
		}
		o.heard(i+1, o.copy.ops[i])
	}
	o.out.Logged = o.copy.ops[before:o.copy.len():o.copy.len()]
	o.reply(o.watch.lead, Ack{Index: o.copy.len()})
	o.tellMore()
}

// heard looks at an op that is new in this epoch's log.
func (o *Origin) heard(index uint64, op Op) {
	switch op.Kind {
	case OpStandbys: // what is inherited came before it
		o.before = nil
		o.event(Event{Kind: Elected, Step: -1, Peer: o.watch.lead.Leader, Peers: op.Peers, Epoch: o.watch.lead.Number})
	case OpGone:
		o.note(-1, op.Peer, fmt.Sprintf("lost %s: its steps go to others", op.Peer.Short()))
	case OpNote:
		o.note(-1, op.Peer, op.Text)
	case OpMode:
		o.weakened(op)
	case OpQuarantined:
		o.note(-1, op.Peer, fmt.Sprintf("%s gets nothing for a while: %s", op.Peer.Short(), op.Text))
	case OpTrusted:
		o.note(-1, op.Peer, fmt.Sprintf("%s is well again", op.Peer.Short()))
	case OpStarted:
		if k := &o.steps[op.Step]; !k.announced && k.startedBy != op.Peer {
			k.startedBy = op.Peer
			o.placed(op.Step, op.Peer)
			o.event(Event{Kind: Began, Step: op.Step, Peer: op.Peer})
		}
	case OpDone:
		o.hasResult(index, op)
	case OpReopened:
		o.reopened(op)
	case OpTried:
		if op.Peer != "" {
			o.note(op.Step, op.Peer, fmt.Sprintf("a try on %s came to nothing: %s", op.Peer.Short(), op.Text))
			o.undone(op.Step, op.Peer, op.Text)
		}
	case OpLost:
		if op.Peer != "" && op.Text == "" {
			o.undone(op.Step, op.Peer, "it was lost while it had the step")
		}
	case OpFailed:
		o.hasFailed(index, op)
	case OpHeld:
		o.announceFrom(op.Step)
	case OpHeir:
		o.event(Event{Kind: Bequeathed, Step: -1, Peer: op.Peer, Epoch: o.watch.lead.Number})
		o.release()
	}
}

// weakened tells how the build goes on.
func (o *Origin) weakened(op Op) {
	mode := o.record.Mode // of op, which was the last to be applied
	o.event(Event{Kind: Moded, Step: -1, Peers: op.Peers, Mode: mode})
	text := "most workers are there again"
	switch mode {
	case Conservative:
		text = fmt.Sprintf("half of the workers are lost (%d): nothing is done twice, and only long-standing members get work", len(op.Peers))
	case Alone:
		text = fmt.Sprintf("all workers are lost (%d): this node goes on alone", len(op.Peers))
	}
	o.note(-1, "", text)
}

// hasFailed notes that a step was given up. It was not, if its result is here.
func (o *Origin) hasFailed(index uint64, op Op) {
	k := &o.steps[op.Step]
	switch {
	case k.secured && k.done != nil:
		o.reply(o.watch.lead, Known{Step: op.Step, Done: *k.done, Secured: true})
	case !k.announced:
		k.failed, k.failedAt = op.Text, index
	}
}

// hasResult has the outputs of a result brought here. One that is secured, or
// being brought here already, stays what it is.
func (o *Origin) hasResult(index uint64, op Op) {
	k := &o.steps[op.Step]
	switch {
	case k.announced && !k.secured:
		o.reply(o.watch.lead, Known{Step: op.Step, Failed: k.failed})
	case k.done != nil && sameDone(k.done, op.Done):
		k.index = index
		if !k.secured {
			o.secureFrom(op.Step)
			break
		}
		// It may have been said before the leader had the result.
		o.reply(o.watch.lead, Secured{Step: op.Step, Action: op.Done.Entry.Action})
		for _, a := range o.deps.above[op.Step] {
			o.secureFrom(a)
		}
	case k.secured:
		if k.done != nil {
			o.reply(o.watch.lead, Known{Step: op.Step, Done: *k.done, Secured: true})
		}
	default:
		k.done, k.index = op.Done, index
		k.fetched, k.unsecured = false, nil
		k.attempt++
		o.out.Secures = append(o.out.Secures, Securing{Step: op.Step, Attempt: k.attempt, Done: op.Done})
		if op.Done.How == Executed {
			o.placed(op.Step, op.Done.Peer)
			o.event(Event{Kind: Made, Step: op.Step, Peer: op.Done.Peer, Done: op.Done})
		}
	}
}

func (o *Origin) reopened(op Op) {
	k := &o.steps[op.Step]
	k.index, k.failedAt, k.startedBy, k.placedOn = 0, 0, "", ""
	if k.secured || k.announced {
		return
	}
	k.done, k.fetched, k.unsecured = nil, false, nil
	k.attempt++
	if op.Text != "" {
		o.note(op.Step, op.Peer, "to be made again: "+op.Text)
	}
}

// Brought tells what came of a Securing: why is empty if all is here now, and
// otherwise says why it cannot be had.
func (o *Origin) Brought(now time.Time, s Step, attempt uint64, why string) OriginOutput {
	o.begin(now)
	k := &o.steps[s]
	if o.over || k.attempt != attempt || k.done == nil || k.fetched {
		return o.out
	}
	if why != "" && !k.done.Entry.Result.OK() {
		// That it failed is known; to run it again would show nothing new.
		o.note(s, k.done.Peer, "what it printed is lost: "+why)
		why = ""
	}
	if why != "" && flawNoRefetch {
		return o.out
	}
	if why != "" {
		k.unsecured = &Unsecured{Step: s, Action: k.done.Entry.Action, Text: why}
		k.done, k.index = nil, 0
		o.reply(o.watch.lead, *k.unsecured)
		return o.out
	}
	k.fetched = true
	o.secureFrom(s)
	return o.out
}

// secureFrom secures s, if all below it is secured, and what waited for that.
// The leader's log has to say so, of s and of all below it: what an earlier one
// said, or one who has not heard of it yet, may be made of inputs that have come out
// otherwise since.
func (o *Origin) secureFrom(s Step) {
	for todo := []Step{s}; len(todo) > 0; todo = todo[1:] {
		s, k := todo[0], &o.steps[todo[0]]
		if k.secured || !k.fetched || k.index == 0 || k.toSecure > 0 || !o.agreed(s) {
			continue
		}
		k.secured = true
		for _, a := range o.deps.above[s] {
			o.steps[a].toSecure--
		}
		o.reply(o.watch.lead, Secured{Step: s, Action: k.done.Entry.Action})
		o.announceFrom(s)
		todo = append(todo, o.deps.above[s]...)
	}
}

// committed looks at the ops that are now known to be where they have to be.
func (o *Origin) committed(commit uint64) {
	o.commit = max(o.commit, min(commit, o.copy.len()))
	for ; o.passed < o.commit; o.passed++ {
		switch op := o.copy.ops[o.passed]; op.Kind {
		case OpDone, OpFailed:
			o.announceFrom(op.Step)
		}
	}
}

// announceFrom announces s, if it may be, and what waited for that.
func (o *Origin) announceFrom(s Step) {
	for todo := []Step{s}; len(todo) > 0; todo = todo[1:] {
		if o.announce(todo[0]) {
			for _, a := range o.deps.above[todo[0]] {
				o.steps[a].toAnnounce--
			}
			todo = append(todo, o.deps.above[todo[0]]...)
		}
	}
}

// agreed reports whether the leader's log has the results below s that are here.
func (o *Origin) agreed(s Step) bool {
	for _, on := range o.deps.below[s] {
		had, has := o.steps[on].done, o.record.Steps[on].Done
		if had != has && (had == nil || has == nil || !sameDone(had, has)) {
			return false
		}
	}
	return true
}

func (o *Origin) announce(s Step) bool {
	k := &o.steps[s]
	switch {
	case k.announced:
		return false
	case k.failedAt != 0 && k.failedAt <= o.commit:
		k.announced = true
		o.event(Event{Kind: GaveUp, Step: s, Text: k.failed})
	case k.secured && k.index != 0 && (k.index <= o.commit || flawEarlyAnnounce) && !o.waits(s) && k.toAnnounce == 0:
		k.announced = true
		o.event(Event{Kind: Announced, Step: s, Peer: k.done.Peer, Done: k.done})
	}
	return k.announced
}

// HeldTime is how long a result that the initiator made itself waits to be
// announced for the heir to have it too: what is announced is to outlive this
// node, and nobody else has it. It is far longer than that takes an heir on a busy
// machine: no build waits for announcements. When it is over nothing is held back, and
// not before: until then its heir may go on with it.
const HeldTime = 3 * time.Second

// waits reports whether a result is held back for the heir, and holds it back.
func (o *Origin) waits(s Step) bool {
	k := &o.steps[s]
	if k.done.Peer != o.opts.Self || !o.record.Ready || o.completed || o.record.Steps[s].Held {
		return false
	}
	if k.heldBy.IsZero() {
		k.heldBy = o.now.Add(HeldTime)
		o.unheld = append(o.unheld, s)
	}
	return o.now.Before(k.heldBy)
}

// overdue announces what was held back for long enough.
func (o *Origin) overdue() {
	for len(o.unheld) > 0 && (o.over || !o.now.Before(o.steps[o.unheld[0]].heldBy)) {
		s := o.unheld[0]
		o.unheld = o.unheld[1:]
		if !o.over {
			o.announceFrom(s)
		}
	}
}

// release holds nothing back for the heir any more. What cannot be announced yet,
// because another leader's log is not safe so far, may wait for the next heir.
func (o *Origin) release() {
	unheld := o.unheld
	o.unheld = nil
	for _, s := range unheld {
		o.steps[s].heldBy = time.Time{}
		o.announceFrom(s)
	}
}
