package steal

import (
	"slices"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/store/digest"
)

const (
	// Bereft is how long a member goes on with a build whose leader is silent:
	// long enough for the last in line to have taken over, and short enough
	// that a build whose initiator is lost has ended everywhere within 2 s.
	Bereft = Lease + 800*time.Millisecond
	// maxReports bounds the reports that a worker keeps for a leader that does
	// not confirm any.
	maxReports = 4 * MaxWant
)

// HandOptions are what a worker is.
type HandOptions struct {
	Self  peer.ID
	Slots int // how many actions it runs at once, as of now
	// Most is how many they may become (see Resize); 0 if they stay.
	Most     int
	OS, Arch string
	BPU      float64
	Memory   int64 // in bytes, for actions; 0 is not known
	Absolute bool  // it can run steps with action.RootAbsolute
	Optional bool  // it knows of action.OutputsOptional and action.StreamsApart
	// Heard is the highest epoch that this node has heard of in the build: a Hand
	// that comes after another, or beside a Keeper, obeys none before it.
	Heard Epoch
	// StatusEvery is how often it says how it is; 0 is never.
	StatusEvery time.Duration
}

// Hand is the machine of one worker in one build. It serves the leader of the
// highest epoch that it heard of. Each assignment is a job:
//
//	Assign -> Prepares -> Prepared -> Runs -> Running -> Ended -> Report -> Confirm
//
// A job that failed while it was prepared goes from Prepared to Report.
type Hand struct {
	opts  HandOptions
	guard guard
	lead  Epoch // zero before the first Hello

	up    bool // the leader's stream stands
	heard time.Time
	told  time.Time

	specs      []Spec
	toolchains []string
	probed     bool
	joined     bool // on the present stream

	said     int       // slots that leaders count with
	ebbs     time.Time // since when there are more; zero if there are not
	seen     uint64    // assignments of this stream
	asked    Want
	jobs     []*job // in the order in which they came
	reports  []Report
	draining bool
	over     bool

	statusAt time.Time // when it last said how it is
	stirred  bool      // a job may be further than what was said

	now time.Time
	out HandOutput
}

// HandOutput is what a call to a Hand wants done, in this order. It is valid
// until the next call.
type HandOutput struct {
	Replies []Reply
	// Cancels are jobs to end at once, wherever they are; nothing is to be
	// said of them any more.
	Cancels []Assign
	// Probe asks which of the toolchains are here; Probed answers. It is nil
	// if nothing is asked.
	Probe []Spec
	// Prepares are jobs whose inputs are to be brought here; Prepared answers
	// each.
	Prepares []Assign
	// Runs are prepared jobs to run as soon as the node has a slot; Running
	// says that one has begun, Ended that it is over.
	Runs []Assign
	// Over says that the build is over here: forget the machine, and cancel
	// whatever is left of its jobs.
	Over bool
}

// stage is where a job is in a worker's hands.
//
//	preparing -> waiting -> submitted -> running
type stage uint8

const (
	preparing stage = iota + 1
	waiting         // until this worker runs fewer than it has slots
	submitted       // to the driver
	running
)

type job struct {
	Assign
	stage stage
	// How much of it is done, in per cent, and what was said of that when.
	percent, told int
	toldAt        time.Time
}

// NewHand returns a worker that serves nobody yet.
func NewHand(opts HandOptions) *Hand {
	return &Hand{opts: opts, said: opts.Slots, guard: guard{highest: opts.Heard}}
}

// Tick tells the time. It is to be called when it is Due.
func (h *Hand) Tick(now time.Time) HandOutput {
	h.begin(now)
	if h.over || h.lead == (Epoch{}) {
		return h.out
	}
	if now.Sub(h.heard) >= Bereft {
		h.quit()
		return h.out
	}
	return h.finish()
}

// Receive takes a message of a leader's stream.
func (h *Hand) Receive(now time.Time, of Epoch, msg Message) HandOutput {
	h.begin(now)
	if h.over {
		return h.out
	}
	if !h.guard.admit(of) {
		h.out.Replies = append(h.out.Replies, Reply{To: of, Msg: Refuse{Epoch: h.guard.highest}})
		return h.out
	}
	if hello, ok := msg.(Hello); ok {
		h.hello(of, hello)
		return h.finish()
	}
	if of != h.lead || !h.up {
		return h.out // a stream begins with Hello
	}
	h.heard = now
	switch msg := msg.(type) {
	case Assign:
		h.assigned(msg)
	case Revoke:
		h.revoked(msg.Step)
	case Recall:
		h.recalled(msg.Step)
	case Confirm:
		h.confirmed(msg)
	case Ask:
		h.ask(msg)
	case End:
		h.quit()
		return h.out
	}
	return h.finish()
}

// Closed tells that the stream of the epoch broke.
func (h *Hand) Closed(now time.Time, of Epoch) HandOutput {
	h.begin(now)
	if of == h.lead {
		h.up, h.joined = false, false
	}
	return h.out
}

// Probed answers a Probe: the digests of the toolchains in their text form, in
// the same order, empty for one that is not here.
func (h *Hand) Probed(now time.Time, toolchains []string) HandOutput {
	h.begin(now)
	if h.over {
		return h.out
	}
	h.toolchains, h.probed = toolchains, true
	if h.joined {
		h.reply(Tools{Toolchains: toolchains})
	}
	return h.finish()
}

// Prepared tells that the inputs of a job are here, or why not.
func (h *Hand) Prepared(now time.Time, s Step, a digest.Digest, failure *Failure) HandOutput {
	h.begin(now)
	j := h.job(s, a)
	if h.over || j == nil || j.stage != preparing {
		return h.out
	}
	if failure != nil {
		h.report(j, Report{Step: s, Action: a, Failure: *failure})
	} else {
		j.stage = waiting
	}
	return h.finish()
}

// Running tells that a job has begun to run.
func (h *Hand) Running(now time.Time, s Step, a digest.Digest) HandOutput {
	h.begin(now)
	j := h.job(s, a)
	if h.over || j == nil || j.stage != submitted {
		return h.out
	}
	j.stage = running
	if h.joined {
		h.reply(Started{Step: s})
	}
	return h.finish()
}

// Ended tells what came of a job that was to run: an entry, or a failure.
func (h *Hand) Ended(now time.Time, r Report) HandOutput {
	h.begin(now)
	j := h.job(r.Step, r.Action)
	if h.over || j == nil || j.stage < submitted {
		return h.out
	}
	h.report(j, r)
	return h.finish()
}

// Drain begins nothing any more: what has not begun goes back, and is cancelled
// here, because it may be about to begin.
func (h *Hand) Drain(now time.Time) HandOutput {
	h.begin(now)
	if h.over {
		return h.out
	}
	h.draining = true
	h.giveBack(0, running)
	h.joined = false // to join again, as one who has no slots
	return h.finish()
}

// Idle reports whether the worker has nothing in its hands and nothing that a
// leader has not confirmed.
func (h *Hand) Idle() bool { return len(h.jobs) == 0 && len(h.reports) == 0 }

func (h *Hand) begin(now time.Time) {
	h.heard = h.heard.Add(overslept(now, h.Due(), h.now))
	h.now, h.out = now, HandOutput{}
}

func (h *Hand) finish() HandOutput {
	if h.lead == (Epoch{}) {
		return h.out
	}
	h.join()
	h.grow()
	h.run()
	h.want()
	h.tell()
	if h.up && h.now.Sub(h.told) >= h.pace() {
		h.reply(Beat{})
	}
	return h.out
}

// pace is how often the worker says that it lives. What it keeps for other
// reasons than its own work, others say (Keeper, Origin).
func (h *Hand) pace() time.Duration {
	if !h.joined || !h.Idle() {
		return BeatEvery
	}
	return CalmEvery
}

// Due is when the next Tick has something to do, if nothing else comes before;
// zero if never.
func (h *Hand) Due() time.Time {
	switch {
	case h.over || h.lead == (Epoch{}):
		return time.Time{}
	case h.up:
		due := earlier(h.heard.Add(Bereft), h.told.Add(h.pace()))
		if !h.ebbs.IsZero() {
			due = earlier(due, h.ebbs.Add(Ebb))
		}
		return due
	default:
		return h.heard.Add(Bereft)
	}
}

// hello serves a leader, maybe a new one: it hears first what no leader has
// confirmed.
func (h *Hand) hello(of Epoch, hello Hello) {
	h.lead, h.up, h.joined = of, true, false
	h.heard = h.now
	h.seen, h.asked = 0, Want{}
	h.retell()
	specs := hello.Specs[:min(len(hello.Specs), MaxSpecs)]
	if !h.probed || !slices.Equal(h.specs, specs) {
		h.specs, h.probed, h.toolchains = specs, false, nil
		if len(h.specs) == 0 {
			h.probed = true
		} else {
			h.out.Probe = h.specs
		}
	}
	for _, r := range h.reports {
		h.reply(r)
	}
}

func (h *Hand) join() {
	if !h.up || h.joined || !h.probed {
		return
	}
	h.said, h.ebbs = h.opts.Slots, time.Time{}
	h.joined = true
	j := Join{
		Slots: h.says(), OS: h.opts.OS, Arch: h.opts.Arch, BPU: h.opts.BPU, Memory: h.opts.Memory, Toolchains: h.toolchains,
		Absolute: h.opts.Absolute, Optional: h.opts.Optional,
	}
	for _, job := range h.jobs {
		j.Running = append(j.Running, Running{Step: job.Step, Action: job.Action, Started: job.stage == running})
	}
	h.reply(j)
}

// slots are those that it asks for work for.
func (h *Hand) slots() int {
	if h.draining {
		return 0
	}
	return h.said
}

// want asks for as many jobs as there are slots, and as many again to prepare
// meanwhile.
func (h *Hand) want() {
	if !h.joined {
		return
	}
	free := 0
	if len(h.reports) < maxReports {
		free = max(0, min(2*h.slots(), MaxWant)-len(h.jobs))
	}
	if h.seen+uint64(free) != h.asked.Seen+uint64(h.asked.Free) {
		h.asked = Want{Seen: h.seen, Free: free}
		h.reply(h.asked)
	}
}

// run submits what is prepared while there are slots. Without a leader nothing
// is begun: it may have been given to somebody else.
func (h *Hand) run() {
	if !h.up || h.draining || h.now.Sub(h.heard) >= Lease {
		return
	}
	busy := 0
	for _, j := range h.jobs {
		if j.stage >= submitted {
			busy++
		}
	}
	for _, j := range h.jobs {
		if busy >= h.opts.Slots {
			return
		}
		if j.stage == waiting {
			j.stage = submitted
			h.out.Runs = append(h.out.Runs, j.Assign)
			busy++
		}
	}
}

func (h *Hand) assigned(a Assign) {
	h.seen++
	if old := h.at(a.Step); old != nil {
		if old.Action == a.Action {
			return
		}
		h.cancel(old)
	}
	if h.slots() == 0 || len(h.jobs) >= 2*MaxWant {
		h.reply(Return{Step: a.Step})
		return
	}
	for _, r := range h.reports {
		if r.Step == a.Step && r.Action == a.Action && r.Entry != nil {
			h.reply(r)
			return
		}
	}
	h.out.Prepares = append(h.out.Prepares, a)
	a.Messages = nil // whoever prepares it keeps them
	h.jobs = append(h.jobs, &job{Assign: a, stage: preparing})
}

func (h *Hand) revoked(s Step) {
	if j := h.at(s); j != nil {
		h.cancel(j)
		h.reply(Return{Step: s, Taken: true})
	}
}

// recalled gives a step back that does not run.
func (h *Hand) recalled(s Step) {
	if j := h.at(s); j != nil && j.stage < running && h.joined {
		h.cancel(j)
		h.reply(Return{Step: s})
	}
}

func (h *Hand) confirmed(c Confirm) {
	h.reports = slices.DeleteFunc(h.reports, func(r Report) bool { return r.Step == c.Step && r.Action == c.Action })
}

// report ends a job. The report is kept until a leader confirms it.
func (h *Hand) report(j *job, r Report) {
	if r.Entry == nil && r.Failure.Kind == 0 {
		r.Failure.Kind = Broken
	}
	h.drop(j)
	h.reports = slices.DeleteFunc(h.reports, func(o Report) bool { return o.Step == r.Step })
	h.reports = append(h.reports, r)
	if h.up {
		h.reply(r)
	}
}

func (h *Hand) quit() {
	for _, j := range slices.Clone(h.jobs) {
		h.cancel(j)
	}
	h.reports, h.up, h.joined = nil, false, false
	h.over, h.out.Over = true, true
}

func (h *Hand) cancel(j *job) {
	h.drop(j)
	h.out.Cancels = append(h.out.Cancels, j.Assign)
}

func (h *Hand) drop(j *job) {
	h.jobs = slices.DeleteFunc(h.jobs, func(o *job) bool { return o == j })
}

func (h *Hand) at(s Step) *job {
	for _, j := range h.jobs {
		if j.Step == s {
			return j
		}
	}
	return nil
}

func (h *Hand) job(s Step, a digest.Digest) *job {
	if j := h.at(s); j != nil && j.Action == a {
		return j
	}
	return nil
}

func (h *Hand) reply(msg Message) {
	h.told = h.now
	h.out.Replies = append(h.out.Replies, Reply{To: h.lead, Msg: msg})
}
