package sched

import (
	"fmt"
	"math"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/schedpb"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store/digest"
)

// maxKnown bounds the IDs that a decoder remembers.
const maxKnown = 1024

// decoder reads the messages of one stream. It remembers the IDs that it has
// seen: the same few come again and again. It is not safe for concurrent use.
type decoder struct{ known map[string]peer.ID }

func newDecoder() *decoder { return &decoder{known: map[string]peer.ID{}} }

// decode reads an envelope and trusts none of it. Signatures of entries are
// not checked: see verify.
func (d *decoder) decode(m *schedpb.Envelope) (envelope, error) {
	build, err := buildOf(m.GetBuild())
	if err != nil {
		return envelope{}, err
	}
	epoch, err := d.epochOf(m.GetEpoch())
	if err != nil {
		return envelope{}, err
	}
	e := envelope{build: build, epoch: epoch}
	e.msg, err = d.fromLeader(m)
	if err != nil {
		return envelope{}, fmt.Errorf("%w: %w", errMalformed, err)
	}
	return e, nil
}

func (d *decoder) fromLeader(m *schedpb.Envelope) (steal.Message, error) {
	switch body := m.GetBody().(type) {
	case *schedpb.Envelope_Lead:
		plan, err := digest.FromBinary(body.Lead.GetPlan())
		return steal.Lead{Plan: plan}, err
	case *schedpb.Envelope_Hello:
		return d.helloOf(body.Hello)
	case *schedpb.Envelope_Append:
		return d.appendOf(body.Append)
	case *schedpb.Envelope_Beat:
		return steal.Beat{Commit: body.Beat.GetCommit(), Calm: body.Beat.GetCalm()}, nil
	case *schedpb.Envelope_Assign:
		return d.assignOf(body.Assign)
	case *schedpb.Envelope_Revoke:
		s, err := stepOf(body.Revoke.GetStep())
		return steal.Revoke{Step: s}, err
	case *schedpb.Envelope_Recall:
		s, err := stepOf(body.Recall.GetStep())
		return steal.Recall{Step: s}, err
	case *schedpb.Envelope_Confirm:
		s, a, err := stepAction(body.Confirm)
		return steal.Confirm{Step: s, Action: a}, err
	case *schedpb.Envelope_End:
		r := body.End.GetReason()
		if r < uint32(steal.Completed) || r > uint32(steal.Orphaned) {
			return nil, fmt.Errorf("reason %d", r)
		}
		return steal.End{Reason: steal.Reason(r)}, nil
	case *schedpb.Envelope_Tidings:
		return d.tidingsOf(body.Tidings)
	default:
		return d.toLeader(m)
	}
}

func (d *decoder) toLeader(m *schedpb.Envelope) (steal.Message, error) {
	switch body := m.GetBody().(type) {
	case *schedpb.Envelope_Join:
		return joinOf(body.Join)
	case *schedpb.Envelope_Want:
		return steal.Want{Seen: body.Want.GetSeen(), Free: int(min(body.Want.GetFree(), steal.MaxWant))}, nil
	case *schedpb.Envelope_Resize:
		return steal.Resize{Slots: int(min(body.Resize.GetSlots(), steal.MaxWant))}, nil
	case *schedpb.Envelope_Started:
		s, err := stepOf(body.Started.GetStep())
		return steal.Started{Step: s}, err
	case *schedpb.Envelope_Report:
		return reportOf(body.Report)
	case *schedpb.Envelope_Return:
		s, err := stepOf(body.Return.GetStep())
		return steal.Return{Step: s, Taken: body.Return.GetTaken()}, err
	case *schedpb.Envelope_Ack:
		return steal.Ack{Index: body.Ack.GetIndex()}, nil
	case *schedpb.Envelope_Known:
		return d.knownOf(body.Known)
	case *schedpb.Envelope_Toll:
		return d.tollOf(body.Toll)
	case *schedpb.Envelope_Decline:
		return steal.Decline{Text: text(body.Decline.GetText())}, nil
	case *schedpb.Envelope_Occupied:
		return d.occupiedOf(body.Occupied)
	case *schedpb.Envelope_Follow:
		return steal.Follow{}, nil
	case *schedpb.Envelope_Secured:
		s, a, err := stepAction(body.Secured)
		return steal.Secured{Step: s, Action: a}, err
	case *schedpb.Envelope_Unsecured:
		s, a, err := stepAction(body.Unsecured)
		return steal.Unsecured{Step: s, Action: a, Text: text(body.Unsecured.GetText())}, err
	case *schedpb.Envelope_Cancel:
		return steal.Cancel{}, nil
	case *schedpb.Envelope_Refuse:
		e, err := d.epochOf(body.Refuse.GetEpoch())
		return steal.Refuse{Epoch: e}, err
	case *schedpb.Envelope_Progress:
		s, err := stepOf(body.Progress.GetStep())
		return steal.Progress{Step: s, Percent: percentOf(body.Progress.GetPercent())}, err
	case *schedpb.Envelope_Status:
		return statusOf(body.Status)
	default:
		return decodeOpen(m)
	}
}

func (d *decoder) occupiedOf(m *schedpb.Occupied) (steal.Message, error) {
	build, err := buildOf(m.GetBuild())
	if err != nil {
		return nil, err
	}
	initiator, err := d.peerOf(m.GetInitiator())
	return steal.Occupied{Build: build, Initiator: initiator}, err
}

func buildOf(name string) (steal.BuildID, error) {
	if name == "" || len(name) > maxName {
		return "", fmt.Errorf("%w: build name of %d bytes", errMalformed, len(name))
	}
	return steal.BuildID(name), nil
}

func (d *decoder) epochOf(m *schedpb.Epoch) (steal.Epoch, error) {
	id, err := d.peerOf(m.GetLeader())
	if err != nil {
		return steal.Epoch{}, fmt.Errorf("epoch %d: %w", m.GetNumber(), err)
	}
	if m.GetNumber() == 0 || m.GetNumber() > math.MaxInt64 {
		return steal.Epoch{}, fmt.Errorf("%w: epoch %d", errMalformed, m.GetNumber())
	}
	return steal.Epoch{Number: m.GetNumber(), Leader: id}, nil
}

func (d *decoder) peerOf(s string) (peer.ID, error) {
	if id, ok := d.known[s]; ok {
		return id, nil
	}
	if len(s) > maxName {
		return "", fmt.Errorf("%w: peer ID of %d bytes", errMalformed, len(s))
	}
	id, err := peer.Parse(s)
	if err == nil && len(d.known) < maxKnown {
		d.known[s] = id
	}
	return id, err
}

func (d *decoder) peersOf(ss []string) ([]peer.ID, error) {
	if len(ss) > maxPeers {
		return nil, fmt.Errorf("%d peers, the limit is %d", len(ss), maxPeers)
	}
	ids := make([]peer.ID, 0, len(ss))
	for _, s := range ss {
		id, err := d.peerOf(s)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

func stepOf(n uint32) (steal.Step, error) {
	if n >= action.MaxSteps {
		return 0, fmt.Errorf("step %d, the limit is %d", n, action.MaxSteps)
	}
	return steal.Step(n), nil
}

// stepAction reads what several messages have in common.
func stepAction(m interface {
	GetStep() uint32
	GetAction() []byte
},
) (steal.Step, digest.Digest, error) {
	s, err := stepOf(m.GetStep())
	if err != nil {
		return 0, digest.Digest{}, err
	}
	a, err := digest.FromBinary(m.GetAction())
	return s, a, err
}

func (d *decoder) helloOf(m *schedpb.Hello) (steal.Message, error) {
	initiator, err := d.peerOf(m.GetInitiator())
	if err != nil {
		return nil, err
	}
	plan, err := digest.FromBinary(m.GetPlan())
	if err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	if m.GetSteps() > action.MaxSteps || len(m.GetHave()) > action.MaxSteps/8+1 {
		return nil, fmt.Errorf("hello with %d steps, and %d bytes of those", m.GetSteps(), len(m.GetHave()))
	}
	specs, err := specsOf(m.GetSpecs())
	return steal.Hello{
		Initiator: initiator, Plan: plan, Specs: specs, Have: m.GetHave(), Forget: m.GetForget(), Steps: int(m.GetSteps()),
		Open: m.GetOpen(),
	}, err
}

func (d *decoder) appendOf(m *schedpb.Append) (steal.Message, error) {
	if len(m.GetOps()) > maxOps {
		return nil, fmt.Errorf("%d ops, the limit is %d", len(m.GetOps()), maxOps)
	}
	a := steal.Append{First: m.GetFirst(), Commit: m.GetCommit(), Ops: make([]steal.Op, 0, len(m.GetOps()))}
	for _, om := range m.GetOps() {
		o, err := d.opOf(om)
		if err != nil {
			return nil, err
		}
		a.Ops = append(a.Ops, o)
	}
	return a, nil
}

func (d *decoder) opOf(m *schedpb.Op) (steal.Op, error) {
	s, err := stepOf(m.GetStep())
	if err != nil {
		return steal.Op{}, err
	}
	o := steal.Op{Kind: steal.OpKind(min(m.GetKind(), math.MaxUint8)), Step: s, Text: text(m.GetText())}
	if m.GetPeer() != "" {
		if o.Peer, err = d.peerOf(m.GetPeer()); err != nil {
			return steal.Op{}, err
		}
	}
	if len(m.GetPeers()) > 0 {
		if o.Peers, err = d.peersOf(m.GetPeers()); err != nil {
			return steal.Op{}, err
		}
	}
	if m.GetDone() != nil {
		done, err := d.doneOf(m.GetDone())
		if err != nil {
			return steal.Op{}, err
		}
		o.Done = &done
	}
	if len(m.GetSteps()) > 0 {
		steps, err := action.UnmarshalSteps(m.GetSteps())
		if err != nil {
			return steal.Op{}, err
		}
		if len(steps) > 0 {
			o.Steps = steps
		}
	}
	return o, nil
}

func (d *decoder) doneOf(m *schedpb.Done) (steal.Done, error) {
	entry, err := action.UnmarshalEntry(m.GetEntry())
	if err != nil {
		return steal.Done{}, err
	}
	by, err := d.peerOf(m.GetPeer())
	if err != nil {
		return steal.Done{}, err
	}
	holders, err := d.peersOf(m.GetHolders())
	if err != nil {
		return steal.Done{}, err
	}
	if m.GetHow() < uint32(steal.Executed) || m.GetHow() > uint32(steal.Found) {
		return steal.Done{}, fmt.Errorf("result of %v: it came by way %d", entry.Action, m.GetHow())
	}
	choice, err := d.choiceOf(m.GetChoice())
	if err != nil {
		return steal.Done{}, err
	}
	return steal.Done{
		Entry: entry, Peer: by, How: steal.How(m.GetHow()), Holders: holders,
		Timings: timingsOf(m.GetTimings()), Differs: m.GetDiffers(), Choice: choice,
	}, nil
}

func (d *decoder) choiceOf(m *schedpb.Choice) (*steal.Choice, error) {
	if m == nil {
		return nil, nil
	}
	by, err := d.peerOf(m.GetPeer())
	if err != nil {
		return nil, err
	}
	if m.GetWhy() < uint32(steal.Sent) || m.GetWhy() > uint32(steal.Ventured) {
		return nil, fmt.Errorf("a step went its way for reason %d", m.GetWhy())
	}
	return &steal.Choice{
		Why: steal.Why(m.GetWhy()), Peer: by, Here: timing(m.GetHere()), There: timing(m.GetThere()), By: timing(m.GetBy()),
		Came: timing(m.GetCame()), Regret: timing(m.GetRegret()),
	}, nil
}

func timingsOf(m *schedpb.Timings) steal.Timings {
	return steal.Timings{
		Queued: timing(m.GetQueued()), Fetch: timing(m.GetFetch()), Run: timing(m.GetRun()), Upload: timing(m.GetUpload()),
	}
}

func timing(ns int64) time.Duration { return min(max(time.Duration(ns), 0), maxTiming) }

func (d *decoder) assignOf(m *schedpb.Assign) (steal.Message, error) {
	s, a, err := stepAction(m)
	if err != nil {
		return nil, err
	}
	if len(m.GetName()) > maxText {
		return nil, fmt.Errorf("step name of %d bytes", len(m.GetName()))
	}
	holders, err := d.peersOf(m.GetHolders())
	if err != nil {
		return nil, err
	}
	if err := checkParcel(m.GetMessages()); err != nil {
		return nil, err
	}
	return steal.Assign{
		Step: s, Name: action.StepID(m.GetName()), Action: a, Holders: holders, Messages: m.GetMessages(),
	}, nil
}

func joinOf(m *schedpb.Join) (steal.Message, error) {
	switch {
	case len(m.GetToolchains()) > steal.MaxSpecs, len(m.GetRunning()) > maxRunning:
		return nil, fmt.Errorf("join with %d toolchains and %d steps", len(m.GetToolchains()), len(m.GetRunning()))
	case len(m.GetOs()) > maxName, len(m.GetArch()) > maxName:
		return nil, fmt.Errorf("platform names above %d bytes", maxName)
	case !(m.GetBpu() >= 0 && m.GetBpu() <= 1e6): // NaN is neither
		return nil, fmt.Errorf("%v BPU", m.GetBpu())
	}
	j := steal.Join{
		Slots: int(min(m.GetSlots(), steal.MaxWant)), OS: m.GetOs(), Arch: m.GetArch(), BPU: m.GetBpu(),
		Memory: max(m.GetMemory(), 0), Toolchains: m.GetToolchains(), Absolute: m.GetAbsolute(),
		Optional: m.GetOptional(),
	}
	for _, t := range j.Toolchains {
		if len(t) > maxName {
			return nil, fmt.Errorf("toolchain digest of %d bytes", len(t))
		}
	}
	for _, rm := range m.GetRunning() {
		s, a, err := stepAction(rm)
		if err != nil {
			return nil, err
		}
		j.Running = append(j.Running, steal.Running{Step: s, Action: a, Started: rm.GetStarted()})
	}
	return j, nil
}

func reportOf(m *schedpb.Report) (steal.Message, error) {
	s, a, err := stepAction(m)
	if err != nil {
		return nil, err
	}
	r := steal.Report{Step: s, Action: a, Timings: timingsOf(m.GetTimings())}
	if len(m.GetEntry()) > 0 {
		e, err := action.UnmarshalEntry(m.GetEntry())
		if err != nil {
			return nil, err
		}
		r.Entry = &e
		return r, nil
	}
	kind := m.GetFailure().GetKind()
	if kind < uint32(steal.Broken) || kind > uint32(steal.Unable) {
		return nil, fmt.Errorf("report of step %d: failure %d", s, kind)
	}
	r.Failure = steal.Failure{Kind: steal.FailureKind(kind), Text: text(m.GetFailure().GetText())}
	return r, nil
}

func (d *decoder) knownOf(m *schedpb.Known) (steal.Message, error) {
	s, err := stepOf(m.GetStep())
	if err != nil {
		return nil, err
	}
	if m.GetFailed() != "" {
		return steal.Known{Step: s, Failed: text(m.GetFailed())}, nil
	}
	done, err := d.doneOf(m.GetDone())
	return steal.Known{Step: s, Done: done, Secured: m.GetSecured()}, err
}

func (d *decoder) tollOf(m *schedpb.Toll) (steal.Message, error) {
	s, err := stepOf(m.GetStep())
	if err != nil {
		return nil, err
	}
	t := steal.Toll{Step: s}
	if t.Began, err = d.peersOf(m.GetBegan()); err != nil {
		return nil, err
	}
	t.Fallen, err = d.peersOf(m.GetFallen())
	return t, err
}

// verify checks the signatures of all entries in a message that from sent. A
// worker reports only what it executed itself.
func verify(msg steal.Message, from peer.ID) error {
	switch msg := msg.(type) {
	case steal.Report:
		if msg.Entry == nil {
			return nil
		}
		if msg.Entry.Executor != from {
			return fmt.Errorf("%w: report of what %s executed", errMalformed, msg.Entry.Executor)
		}
		return msg.Entry.Verify()
	case steal.Known:
		if msg.Failed != "" {
			return nil
		}
		return msg.Done.Entry.Verify()
	case steal.Append:
		for i := range msg.Ops {
			if d := msg.Ops[i].Done; d != nil {
				if err := d.Entry.Verify(); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
