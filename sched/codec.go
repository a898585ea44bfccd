package sched

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/schedpb"
	"github.com/buildnet/buildnet/sched/steal"
)

// Limits of what a peer may say. They are above what the machines do.
const (
	// maxFrame in bytes: an op with an entry at its limit, and room for others.
	maxFrame = 2 * action.MaxEntryBytes
	// maxName in bytes, of a build, a peer or a toolchain digest.
	maxName = 128
	// maxText in bytes, of what is said to people and of a step's name.
	maxText = 16 << 10
	// maxSpec in bytes: the names of some hundred tools or directories.
	maxSpec = 64 << 10
	// maxOps are in one Append.
	maxOps = 8192
	// maxPeers are named in one list.
	maxPeers = 2 * steal.MaxCrew
	// maxRunning is what a worker may have in its hands.
	maxRunning = 2 * steal.MaxWant
	// maxTiming keeps sums of durations far from overflow.
	maxTiming = 1000 * time.Hour
)

var errMalformed = errors.New("malformed message")

// envelope is a message with the build and the epoch that it is of.
type envelope struct {
	build steal.BuildID
	epoch steal.Epoch
	msg   steal.Message
}

// encode writes an envelope. It fails for what no peer could read.
func encode(e envelope) (*schedpb.Envelope, error) { return encodeAfter(nil, e) }

// encodeAfter is encode where the ops of a log go to several: what was written
// of them for one is in the messages for the others.
func encodeAfter(w *written, e envelope) (*schedpb.Envelope, error) {
	m := &schedpb.Envelope{Build: string(e.build), Epoch: epochMessage(e.epoch)}
	if a, ok := e.msg.(steal.Append); ok {
		return m, encodeAppend(m, a, w)
	}
	return m, encodeBody(m, e.msg)
}

func encodeBody(m *schedpb.Envelope, msg steal.Message) error {
	switch msg := msg.(type) {
	case steal.Lead:
		m.Body = &schedpb.Envelope_Lead{Lead: &schedpb.Lead{Plan: msg.Plan.Binary()}}
	case steal.Hello:
		m.Body = &schedpb.Envelope_Hello{Hello: helloMessage(msg)}
	case steal.Beat:
		m.Body = &schedpb.Envelope_Beat{Beat: &schedpb.Beat{Commit: msg.Commit, Calm: msg.Calm}}
	case steal.Assign:
		m.Body = &schedpb.Envelope_Assign{Assign: &schedpb.Assign{
			Step: uint32(msg.Step), Name: string(msg.Name), Action: msg.Action.Binary(), Holders: names(msg.Holders),
			Messages: msg.Messages,
		}}
	case steal.Revoke:
		m.Body = &schedpb.Envelope_Revoke{Revoke: &schedpb.Revoke{Step: uint32(msg.Step)}}
	case steal.Recall:
		m.Body = &schedpb.Envelope_Recall{Recall: &schedpb.Recall{Step: uint32(msg.Step)}}
	case steal.Confirm:
		m.Body = &schedpb.Envelope_Confirm{Confirm: &schedpb.Confirm{Step: uint32(msg.Step), Action: msg.Action.Binary()}}
	case steal.End:
		m.Body = &schedpb.Envelope_End{End: &schedpb.End{Reason: uint32(msg.Reason)}}
	case steal.Tidings:
		m.Body = &schedpb.Envelope_Tidings{Tidings: tidingsMessage(msg)}
	case steal.Ask:
		m.Body = &schedpb.Envelope_Ask{Ask: &schedpb.Ask{Specs: specMessages(msg.Specs)}}
	default:
		return encodeToLeader(m, msg)
	}
	return nil
}

func encodeToLeader(m *schedpb.Envelope, msg steal.Message) error {
	switch msg := msg.(type) {
	case steal.Join:
		m.Body = &schedpb.Envelope_Join{Join: joinMessage(msg)}
	case steal.Want:
		m.Body = &schedpb.Envelope_Want{Want: &schedpb.Want{Seen: msg.Seen, Free: uint32(max(msg.Free, 0))}}
	case steal.Resize:
		m.Body = &schedpb.Envelope_Resize{Resize: &schedpb.Resize{Slots: uint32(max(msg.Slots, 0))}}
	case steal.Started:
		m.Body = &schedpb.Envelope_Started{Started: &schedpb.Started{Step: uint32(msg.Step)}}
	case steal.Report:
		return encodeReport(m, msg)
	case steal.Return:
		m.Body = &schedpb.Envelope_Return{Return: &schedpb.Return{Step: uint32(msg.Step), Taken: msg.Taken}}
	case steal.Ack:
		m.Body = &schedpb.Envelope_Ack{Ack: &schedpb.Ack{Index: msg.Index}}
	case steal.Known:
		if msg.Failed != "" {
			m.Body = &schedpb.Envelope_Known{Known: &schedpb.Known{Step: uint32(msg.Step), Failed: text(msg.Failed)}}
			return nil
		}
		d, err := doneMessage(&msg.Done)
		if err != nil {
			return err
		}
		m.Body = &schedpb.Envelope_Known{Known: &schedpb.Known{Step: uint32(msg.Step), Done: d, Secured: msg.Secured}}
	case steal.Toll:
		m.Body = &schedpb.Envelope_Toll{Toll: &schedpb.Toll{Step: uint32(msg.Step), Began: names(msg.Began), Fallen: names(msg.Fallen)}}
	case steal.Decline:
		m.Body = &schedpb.Envelope_Decline{Decline: &schedpb.Decline{Text: text(msg.Text)}}
	case steal.Occupied:
		m.Body = &schedpb.Envelope_Occupied{Occupied: &schedpb.Occupied{Build: string(msg.Build), Initiator: string(msg.Initiator)}}
	case steal.Follow:
		m.Body = &schedpb.Envelope_Follow{Follow: &schedpb.Follow{}}
	case steal.Secured:
		m.Body = &schedpb.Envelope_Secured{Secured: &schedpb.Secured{Step: uint32(msg.Step), Action: msg.Action.Binary()}}
	case steal.Unsecured:
		m.Body = &schedpb.Envelope_Unsecured{Unsecured: &schedpb.Unsecured{
			Step: uint32(msg.Step), Action: msg.Action.Binary(), Text: text(msg.Text),
		}}
	case steal.Cancel:
		m.Body = &schedpb.Envelope_Cancel{Cancel: &schedpb.Cancel{}}
	case steal.Refuse:
		m.Body = &schedpb.Envelope_Refuse{Refuse: &schedpb.Refuse{Epoch: epochMessage(msg.Epoch)}}
	case steal.Progress:
		m.Body = &schedpb.Envelope_Progress{Progress: &schedpb.Progress{Step: uint32(msg.Step), Percent: percentage(msg.Percent)}}
	case steal.Status:
		m.Body = &schedpb.Envelope_Status{Status: statusMessage(msg)}
	default:
		return encodeOpen(m, msg)
	}
	return nil
}

func epochMessage(e steal.Epoch) *schedpb.Epoch {
	return &schedpb.Epoch{Number: e.Number, Leader: string(e.Leader)}
}

func helloMessage(h steal.Hello) *schedpb.Hello {
	return &schedpb.Hello{
		Initiator: string(h.Initiator), Plan: h.Plan.Binary(), Specs: specMessages(h.Specs), Have: h.Have, Forget: h.Forget,
		Steps: uint32(h.Steps), Open: h.Open,
	}
}

func specMessages(specs []steal.Spec) []*schedpb.Spec {
	ms := make([]*schedpb.Spec, len(specs))
	for i, s := range specs {
		ms[i] = &schedpb.Spec{Spec: s.Spec, Dirs: s.Dirs}
	}
	return ms
}

func joinMessage(j steal.Join) *schedpb.Join {
	m := &schedpb.Join{
		Slots: uint32(max(j.Slots, 0)), Os: j.OS, Arch: j.Arch, Bpu: j.BPU, Memory: max(j.Memory, 0), Toolchains: j.Toolchains,
		Absolute: j.Absolute, Optional: j.Optional,
	}
	for _, r := range j.Running {
		m.Running = append(m.Running, &schedpb.Running{Step: uint32(r.Step), Action: r.Action.Binary(), Started: r.Started})
	}
	return m
}

func encodeAppend(m *schedpb.Envelope, a steal.Append, w *written) error {
	am := &schedpb.Append{First: a.First, Commit: a.Commit, Ops: make([]*schedpb.Op, 0, len(a.Ops))}
	for i := range a.Ops {
		om, err := w.op(a.First+uint64(i), &a.Ops[i])
		if err != nil {
			return err
		}
		am.Ops = append(am.Ops, om)
	}
	m.Body = &schedpb.Envelope_Append{Append: am}
	return nil
}

func opMessage(o *steal.Op) (*schedpb.Op, error) {
	m := &schedpb.Op{Kind: uint32(o.Kind), Step: uint32(o.Step), Peer: string(o.Peer), Peers: names(o.Peers), Text: text(o.Text)}
	var err error
	if o.Done != nil {
		m.Done, err = doneMessage(o.Done)
	}
	if len(o.Steps) > 0 && err == nil {
		m.Steps, err = action.MarshalSteps(o.Steps)
	}
	return m, err
}

// maxWritten ops of a log are kept as they were written, the latest.
const maxWritten = 1024

// written are ops of one log as messages, which nobody changes. A nil one keeps
// none. It is not safe for concurrent use; what it returns is.
type written struct {
	first uint64 // of ops, in the log
	ops   []*schedpb.Op
}

// op returns the op that is so far in the log.
func (w *written) op(index uint64, o *steal.Op) (*schedpb.Op, error) {
	if w == nil {
		return opMessage(o)
	}
	if at := index - w.first; index >= w.first && at < uint64(len(w.ops)) {
		return w.ops[at], nil
	}
	m, err := opMessage(o)
	if err != nil {
		return nil, err
	}
	switch {
	case len(w.ops) < maxWritten && index == w.first+uint64(len(w.ops)):
		w.ops = append(w.ops, m)
	case index >= w.first+uint64(len(w.ops)):
		w.first, w.ops = index, []*schedpb.Op{m}
	}
	return m, nil
}

func encodeReport(m *schedpb.Envelope, r steal.Report) error {
	rm := &schedpb.Report{Step: uint32(r.Step), Action: r.Action.Binary(), Timings: timingsMessage(r.Timings)}
	if r.Entry != nil {
		entry, err := r.Entry.Marshal()
		if err != nil {
			return fmt.Errorf("encode report of step %d: %w", r.Step, err)
		}
		rm.Entry = entry
	} else {
		rm.Failure = &schedpb.Failure{Kind: uint32(r.Failure.Kind), Text: text(r.Failure.Text)}
	}
	m.Body = &schedpb.Envelope_Report{Report: rm}
	return nil
}

func doneMessage(d *steal.Done) (*schedpb.Done, error) {
	entry, err := d.Entry.Marshal()
	if err != nil {
		return nil, fmt.Errorf("encode result of %v: %w", d.Entry.Action, err)
	}
	return &schedpb.Done{
		Entry: entry, Peer: string(d.Peer), How: uint32(d.How), Holders: names(d.Holders),
		Timings: timingsMessage(d.Timings), Differs: d.Differs, Choice: choiceMessage(d.Choice),
	}, nil
}

func choiceMessage(c *steal.Choice) *schedpb.Choice {
	if c == nil {
		return nil
	}
	return &schedpb.Choice{
		Why: uint32(c.Why), Peer: string(c.Peer), Here: int64(c.Here), There: int64(c.There), By: int64(c.By),
		Came: int64(c.Came), Regret: int64(c.Regret),
	}
}

func timingsMessage(t steal.Timings) *schedpb.Timings {
	return &schedpb.Timings{Queued: int64(t.Queued), Fetch: int64(t.Fetch), Run: int64(t.Run), Upload: int64(t.Upload)}
}

func names(ids []peer.ID) []string {
	ns := make([]string, 0, min(len(ids), maxPeers))
	for _, id := range ids[:min(len(ids), maxPeers)] {
		ns = append(ns, string(id))
	}
	return ns
}

// text makes of what is said to people something that a frame can carry.
func text(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "")
	}
	return s
}
