package replay

import (
	"slices"
	"time"

	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/simulations/setting"
)

// measures are what a recording tells of everything around the runs of steps.
type measures struct {
	rec       *event.Recording
	overheads setting.Overheads
	// probes are how long each peer took after the election until it could
	// begin with a step.
	probes []time.Duration
	// bandwidth is what two peers bring over between them, in bytes a second.
	bandwidth float64
}

const (
	// standardBandwidth is taken where nothing was brought over, or in no time.
	standardBandwidth = 100 << 20
	leastBandwidth    = 100 << 10
	// enough bytes have to have travelled to tell a bandwidth from them.
	enough = 64 << 10
)

func newMeasures(rec *event.Recording) *measures {
	m := &measures{rec: rec, overheads: setting.StandardOverheads()}
	o, marks := &m.overheads, rec.Marks
	o.Plan = exactly(max(micros(marks.PlannedUS), micros(marks.ElectedUS)-m.election()))
	o.Place = exactly(max(0, micros(marks.TotalUS-marks.ScheduledUS)))
	o.Start = setting.Span{} // it is within what is taken for Resolve
	home, all := m.executed(atHome), m.executed(anywhere)
	o.Prepare = spanOf(home, all, func(s *event.RecordedStep) int64 { return s.FetchUS }, o.Prepare)
	o.Secure = spanOf(home, all, func(s *event.RecordedStep) int64 { return s.SecureUS }, o.Secure)
	o.Store = spanOf(all, nil, func(s *event.RecordedStep) int64 { return s.UploadUS }, o.Store)
	o.Resolve = m.resolve(o.Resolve)
	m.probe()
	m.carry()
	return m
}

func exactly(d time.Duration) setting.Span { return setting.Span{Least: d, Most: d} }

func anywhere(int) bool    { return true }
func atHome(peer int) bool { return peer == 0 }
func abroad(peer int) bool { return peer > 0 }

// executed are the steps that ran on some peers.
func (m *measures) executed(on func(peer int) bool) []*event.RecordedStep {
	var out []*event.RecordedStep
	for i := range m.rec.Steps {
		if s := &m.rec.Steps[i]; s.Peer >= 0 && s.Peer < len(m.rec.Peers) && s.FinishedUS > 0 && on(s.Peer) {
			out = append(out, s)
		}
	}
	return out
}

// spanOf is between the tenth and the ninth tenth of what steps took: of those
// at the initiator, which had all bytes, if there are any; otherwise the least
// that others took.
func spanOf(steps, others []*event.RecordedStep, of func(*event.RecordedStep) int64, standard setting.Span) setting.Span {
	if values := collect(steps, of); len(values) > 0 {
		return setting.Span{Least: quantile(values, 0.1), Most: quantile(values, 0.9)}
	}
	if values := collect(others, of); len(values) > 0 {
		return exactly(values[0])
	}
	return standard
}

func collect(steps []*event.RecordedStep, of func(*event.RecordedStep) int64) []time.Duration {
	values := make([]time.Duration, 0, len(steps))
	for _, s := range steps {
		values = append(values, max(0, micros(of(s))))
	}
	slices.Sort(values)
	return values
}

// quantile is of sorted values, of which there is at least one.
func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[int(q*float64(len(sorted)-1)+0.5)]
}

// resolve is what lay between the last result that a step needed and its own,
// beside what was measured of it and the way of four messages: where it had to
// wait for nobody. That is a quarter of those that waited for other steps.
func (m *measures) resolve(standard setting.Span) setting.Span {
	var values []time.Duration
	for _, s := range m.executed(anywhere) {
		ready := m.ready(s)
		if ready == 0 {
			continue
		}
		rest := s.FinishedUS - ready - s.QueuedUS - s.FetchUS - s.RunUS - s.UploadUS - s.SecureUS
		values = append(values, max(0, micros(rest)-m.messages(s.Peer)))
	}
	if len(values) == 0 {
		return standard
	}
	slices.Sort(values)
	return setting.Span{Least: values[0], Most: quantile(values, 0.25)}
}

// ready is when the last step was announced that s depends on; 0 if all were
// known before.
func (m *measures) ready(s *event.RecordedStep) int64 {
	ready := int64(0)
	for _, on := range s.Deps {
		ready = max(ready, m.rec.Steps[on].FinishedUS)
	}
	return ready
}

// election is what the messages of an election take: the member is asked, with
// a handshake, fetches the plan, says Hello with another, and names standbys.
func (m *measures) election() time.Duration { return 5 * rtt(m.rec, m.leader(), 0) }

func (m *measures) leader() int {
	if len(m.rec.Reigns) == 0 {
		return 0
	}
	return m.rec.Reigns[0].Leader
}

// messages is what a step's messages take between worker, leader and initiator.
func (m *measures) messages(worker int) time.Duration {
	return rtt(m.rec, m.leader(), worker) + rtt(m.rec, m.leader(), 0)
}

// probe finds when each peer could have begun its first step. That a command
// began is heard when its sandbox stands, which is within its run.
func (m *measures) probe() {
	m.probes = make([]time.Duration, len(m.rec.Peers))
	for _, s := range m.executed(anywhere) {
		if m.ready(s) > 0 || s.StartedUS == 0 {
			continue
		}
		setUp := max(0, s.StartedUS+s.RunUS+s.UploadUS+s.SecureUS-s.FinishedUS)
		took := micros(s.StartedUS - setUp - s.QueuedUS - s.FetchUS - m.rec.Marks.ElectedUS)
		took = max(time.Microsecond, took-m.overheads.Resolve.Least)
		if at := &m.probes[s.Peer]; *at == 0 || took < *at {
			*at = took
		}
	}
}

// probeOf is for a peer that executed nothing, or a new one, what others took.
func (m *measures) probeOf(peer int) time.Duration {
	if peer >= 0 && m.probes[peer] > 0 {
		return m.probes[peer]
	}
	var values []time.Duration
	for _, d := range m.probes {
		if d > 0 {
			values = append(values, d)
		}
	}
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return quantile(values, 0.5)
}

// carry tells the bandwidth from what outputs took to come to the initiator.
func (m *measures) carry() {
	var bytes int64
	var took time.Duration
	for _, s := range m.executed(abroad) {
		if beyond := micros(s.SecureUS) - m.overheads.Secure.Most; beyond > 0 {
			bytes, took = bytes+s.OutputBytes, took+beyond
		}
	}
	m.bandwidth = standardBandwidth
	if bytes >= enough && took > 0 {
		m.bandwidth = min(standardBandwidth, max(leastBandwidth, float64(bytes)/took.Seconds()))
	}
}
