package sched

import (
	"fmt"
	"math"

	"github.com/buildnet/buildnet/sched/schedpb"
	"github.com/buildnet/buildnet/sched/steal"
)

// maxStatusMemory keeps sums of bytes far from overflow.
const maxStatusMemory = 1 << 50

func percentage(n int) uint32 { return uint32(min(max(n, 0), 100)) }

func percentOf(n uint32) int { return int(min(n, 100)) }

func statusMessage(s steal.Status) *schedpb.Status {
	m := &schedpb.Status{
		Slots: uint32(max(s.Slots, 0)), Busy: uint32(max(s.Busy, 0)), Waiting: uint32(max(s.Waiting, 0)), Memory: s.Memory, Share: s.Share,
	}
	for _, step := range s.Running[:min(len(s.Running), steal.MaxStatusSteps)] {
		m.Running = append(m.Running, uint32(step))
	}
	return m
}

func statusOf(m *schedpb.Status) (steal.Status, error) {
	if len(m.GetRunning()) > steal.MaxStatusSteps {
		return steal.Status{}, fmt.Errorf("a status with %d steps, the limit is %d", len(m.GetRunning()), steal.MaxStatusSteps)
	}
	count := func(n uint32) int { return int(min(n, 2*steal.MaxWant)) }
	s := steal.Status{
		Slots: count(m.GetSlots()), Busy: count(m.GetBusy()), Waiting: count(m.GetWaiting()),
		Memory: min(max(m.GetMemory(), 0), maxStatusMemory), Share: share(m.GetShare()),
	}
	for _, n := range m.GetRunning() {
		step, err := stepOf(n)
		if err != nil {
			return steal.Status{}, err
		}
		s.Running = append(s.Running, step)
	}
	return s, nil
}

func share(x float64) float64 {
	if math.IsNaN(x) {
		return 0
	}
	return min(max(x, 0), 1)
}

func tidingsMessage(t steal.Tidings) *schedpb.Tidings {
	m := &schedpb.Tidings{}
	for _, p := range t.Placements[:min(len(t.Placements), steal.MaxTidings)] {
		m.Placements = append(m.Placements, &schedpb.Placement{Step: uint32(p.Step), Peer: string(p.Peer)})
	}
	for _, a := range t.Advances[:min(len(t.Advances), steal.MaxTidings)] {
		m.Advances = append(m.Advances, &schedpb.Advance{Step: uint32(a.Step), Peer: string(a.Peer), Percent: percentage(a.Percent)})
	}
	for _, s := range t.Statuses[:min(len(t.Statuses), steal.MaxTidings)] {
		m.Statuses = append(m.Statuses, &schedpb.PeerStatus{Peer: string(s.Peer), Status: statusMessage(s.Status)})
	}
	return m
}

func (d *decoder) tidingsOf(m *schedpb.Tidings) (steal.Message, error) {
	for _, n := range []int{len(m.GetPlacements()), len(m.GetAdvances()), len(m.GetStatuses())} {
		if n > steal.MaxTidings {
			return nil, fmt.Errorf("%d tidings of a kind, the limit is %d", n, steal.MaxTidings)
		}
	}
	var t steal.Tidings
	for _, p := range m.GetPlacements() {
		s, err := stepOf(p.GetStep())
		if err != nil {
			return nil, err
		}
		by, err := d.peerOf(p.GetPeer())
		if err != nil {
			return nil, err
		}
		t.Placements = append(t.Placements, steal.Placement{Step: s, Peer: by})
	}
	for _, a := range m.GetAdvances() {
		s, err := stepOf(a.GetStep())
		if err != nil {
			return nil, err
		}
		by, err := d.peerOf(a.GetPeer())
		if err != nil {
			return nil, err
		}
		t.Advances = append(t.Advances, steal.Advance{Step: s, Peer: by, Percent: percentOf(a.GetPercent())})
	}
	for _, p := range m.GetStatuses() {
		by, err := d.peerOf(p.GetPeer())
		if err != nil {
			return nil, err
		}
		s, err := statusOf(p.GetStatus())
		if err != nil {
			return nil, err
		}
		t.Statuses = append(t.Statuses, steal.PeerStatus{Peer: by, Status: s})
	}
	return t, nil
}
