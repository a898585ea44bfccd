package simulations

import (
	"slices"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/simulations/trace"
	"github.com/buildnet/buildnet/simulations/workload"
	"github.com/buildnet/buildnet/store/digest"
)

// maxPublishing results of a build are given to their owners at once
// (sched/leading.go).
const maxPublishing = 32

// leading drives the Leader of one epoch of a build: see sched's.
type leading struct {
	n       *node
	b       *build
	epoch   steal.Epoch
	machine *steal.Leader
	links   map[int]*stream // by the member's place
	over    bool

	// What is claimed, by action and by step.
	claims  map[digest.Digest]steal.Step
	latest  map[steal.Step]digest.Digest
	waiting []*asking // claims that are not answered
	// publishing is how many results are on their way, unpublished are those
	// that wait for their turn.
	publishing  int
	unpublished []action.Entry

	logged, committed uint64
	messages          int64 // sent and taken
	tick              func()
}

// lead makes the node the leader of a build, as t says. how is trace.Asked if
// the initiator asked for it.
func (n *node) lead(b *build, t steal.TakeOver, how string) bool {
	limit := maxLed
	if t.Initiator == n.id {
		limit += maxOwn
	}
	if len(n.leads) >= limit {
		return false
	}
	for _, l := range n.leads {
		if l.b == b && l.epoch == t.Epoch {
			return true // it is asked for twice
		}
	}
	machine, err := steal.NewLeader(steal.LeaderOptions{
		Self: n.id, Initiator: t.Initiator, Epoch: t.Epoch, Plan: b.plan, PlanDigest: t.Plan,
		Log: t.Log, Predecessor: t.Predecessor, Members: n.members(), Chance: n.w.chance.Float64,
	})
	if err != nil {
		return false // it says so in its log
	}
	l := &leading{
		n: n, b: b, epoch: t.Epoch, machine: machine, links: map[int]*stream{},
		claims: map[digest.Digest]steal.Step{}, latest: map[steal.Step]digest.Digest{},
	}
	l.tick = l.beat
	n.leads = append(n.leads, l)
	if b.leader == nil || l.epoch.Compare(b.leader.epoch) > 0 {
		b.leader = l
	}
	e := l.of(trace.Led)
	e.Value, e.Text = int64(len(t.Log)), how
	n.w.tell(e)
	n.later(steal.BeatEvery, l.tick)
	l.do(machine.Tick(n.clock()))
	return true
}

// of begins an event of the reign.
func (l *leading) of(k trace.Kind) trace.Event {
	e := l.b.of(k, l.n)
	e.Epoch = epochOf(l.epoch)
	return e
}

func (l *leading) beat() {
	if l.over {
		return
	}
	l.n.later(steal.BeatEvery, l.tick)
	l.do(l.machine.Tick(l.n.clock()))
}

// do carries out what the machine wants, in its order.
func (l *leading) do(out steal.Output) {
	for _, d := range out.Dials {
		l.dial(d)
	}
	for _, m := range out.Sends {
		if st := l.links[placeOf(m.To)]; st != nil {
			l.sends(m)
			l.messages++
			st.send(m.Msg)
		}
	}
	for _, id := range out.Hangups {
		if st := l.links[placeOf(id)]; st != nil {
			delete(l.links, placeOf(id))
			st.finishDown()
		}
	}
	for _, a := range out.Releases {
		l.release(a)
	}
	for _, r := range out.Resolves {
		l.resolve(r)
	}
	for _, p := range out.Publishes {
		l.publish(p.Entry)
	}
	if out.Over && !l.over {
		l.leave()
	}
}

// leave ends what is left of a reign. What was executed is still published.
func (l *leading) leave() {
	l.ends()
	l.n.leads = slices.DeleteFunc(l.n.leads, func(o *leading) bool { return o == l })
	e := l.of(trace.Deposed)
	e.Value = l.messages
	l.n.w.tell(e)
	for _, place := range sortedKeys(l.links) {
		l.links[place].finishDown()
	}
	l.links = map[int]*stream{}
	for _, a := range slices.Clone(l.waiting) {
		a.cancel()
	}
	l.letGo()
}

// ends notes that the reign is over.
func (l *leading) ends() {
	l.over = true
	if l.b.leader == l {
		l.b.leader = nil
	}
}

// letGo ends the claims of a reign that has ended, when its last results are
// published.
func (l *leading) letGo() {
	if !l.over || l.publishing > 0 {
		return
	}
	left := make([]digest.Digest, 0, len(l.claims))
	for a := range l.claims {
		left = append(left, a)
	}
	slices.SortFunc(left, digest.Digest.Compare)
	clear(l.claims)
	for _, a := range left {
		l.n.unclaim(l.b, a)
	}
}

// sends tells of a message that is about to go.
func (l *leading) sends(m steal.Send) {
	switch msg := m.Msg.(type) {
	case steal.Append:
		l.logs(msg)
		l.commits(msg.Commit)
	case steal.Beat:
		l.commits(msg.Commit)
	case steal.Assign:
		e := l.of(trace.Assigned)
		e.Peer, e.Step, e.Digest = placeOf(m.To), int(msg.Step), workload.Short(msg.Action)
		l.n.w.tell(e)
	case steal.Revoke:
		e := l.of(trace.Revoked)
		e.Peer, e.Step = placeOf(m.To), int(msg.Step)
		l.n.w.tell(e)
	}
}

func (l *leading) logs(a steal.Append) {
	for i := range a.Ops {
		index := a.First + uint64(i)
		if index <= l.logged {
			continue
		}
		l.logged = index
		op := &a.Ops[i]
		e := l.of(trace.Logged)
		e.Value, e.Text, e.Step, e.Peer = int64(index), opNames[op.Kind], stepOf(op), peerOf(op.Peer)
		switch op.Kind {
		case steal.OpStandbys:
			e.Digest = uint64(len(op.Peers)) // see trace.OpStandbys
		case steal.OpMode:
			mode, _ := steal.ParseMode(op.Text)
			e.Digest = uint64(mode)
		}
		if op.Done != nil {
			e.Peer, e.Digest = peerOf(op.Done.Peer), workload.Short(op.Done.Entry.Action)
		}
		l.n.w.tell(e)
	}
}

func stepOf(op *steal.Op) int {
	switch op.Kind {
	case steal.OpStandbys, steal.OpGone, steal.OpNote, steal.OpEnded, steal.OpMode, steal.OpQuarantined, steal.OpTrusted,
		steal.OpHeir, steal.OpReady, steal.OpShut:
		return trace.None
	default:
		return int(op.Step)
	}
}

func (l *leading) commits(index uint64) {
	if index <= l.committed {
		return
	}
	l.committed = index
	e := l.of(trace.Committed)
	e.Value = int64(index)
	l.n.w.tell(e)
}

// heard tells of a message that the leader is about to take.
func (l *leading) heard(st *stream, m steal.Message) {
	if ack, ok := m.(steal.Ack); ok {
		e := l.of(trace.Kept)
		e.Node, e.Peer, e.Value = st.to.place, l.n.place, int64(ack.Index)
		l.n.w.tell(e)
	}
}

func sortedKeys[V any](m map[int]V) []int {
	keys := make([]int, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
