package sched

import (
	"fmt"
	"math"

	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/place"
	"github.com/buildnet/buildnet/sched/schedpb"
	"github.com/buildnet/buildnet/sched/steal"
)

const (
	// maxPlan in bytes: a graph at its limit, and as much again for what is
	// given.
	maxPlan = 2 * action.MaxGraphBytes
	// maxCandidates of an election.
	maxCandidates = 1 << 16
)

// encodePlan writes the blob that a leader begins with.
func encodePlan(p *steal.Plan) ([]byte, error) {
	graph, err := p.Graph.Marshal()
	if err != nil {
		return nil, fmt.Errorf("encode plan: %w", err)
	}
	m := &schedpb.Plan{
		Graph: graph, Force: p.Modes.Force, KeepGoing: p.Modes.KeepGoing, Local: p.Modes.Local,
		Jobs: uint32(min(max(p.Modes.Jobs, 0), math.MaxInt32)), Policy: policyMessage(p.Modes.Policy),
		Exchange: uint32(p.Modes.Exchange), Copies: uint32(p.Modes.Copies), Open: p.Open,
	}
	for _, id := range p.Candidates {
		m.Candidates = append(m.Candidates, string(id))
	}
	for i := range p.Given {
		g, err := givenMessage(&p.Given[i])
		if err != nil {
			return nil, fmt.Errorf("encode plan: step %d: %w", p.Given[i].Step, err)
		}
		m.Given = append(m.Given, g)
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode plan: %w", err)
	}
	return b, nil
}

func givenMessage(g *steal.Given) (*schedpb.Given, error) {
	m := &schedpb.Given{Step: uint32(g.Step), Secured: g.Secured}
	if g.Done != nil {
		d, err := doneMessage(g.Done)
		m.Done = d
		return m, err
	}
	result, err := g.Result.Marshal()
	m.Result = result
	return m, err
}

// decodePlan reads a plan and trusts none of it.
func decodePlan(b []byte) (*steal.Plan, error) {
	var m schedpb.Plan
	d := newDecoder()
	if err := proto.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("decode plan: %w: %w", errMalformed, err)
	}
	graph, err := action.UnmarshalGraph(m.GetGraph())
	if err != nil {
		return nil, fmt.Errorf("decode plan: %w", err)
	}
	p := &steal.Plan{Graph: graph, Open: m.GetOpen(), Modes: steal.Modes{
		Force: m.GetForce(), KeepGoing: m.GetKeepGoing(), Local: m.GetLocal(), Jobs: int(min(m.GetJobs(), math.MaxInt32)),
	}}
	if p.Modes.Policy, err = policyOf(m.GetPolicy()); err != nil {
		return nil, fmt.Errorf("decode plan: %w", err)
	}
	if m.GetExchange() > uint32(steal.TakeOnly) || m.GetCopies() > uint32(steal.MakerKeeps) {
		return nil, fmt.Errorf("decode plan: %w: exchange %d, copies %d", errMalformed, m.GetExchange(), m.GetCopies())
	}
	p.Modes.Exchange, p.Modes.Copies = steal.Exchange(m.GetExchange()), steal.Copies(m.GetCopies())
	if p.Candidates, err = d.candidatesOf(m.GetCandidates()); err != nil {
		return nil, fmt.Errorf("decode plan: %w", err)
	}
	given := make(map[steal.Step]bool, len(m.GetGiven()))
	for _, gm := range m.GetGiven() {
		g, err := d.givenOf(gm)
		if err == nil && (int(g.Step) >= graph.Len() || given[g.Step]) {
			err = fmt.Errorf("%w: given twice, or beyond the graph", errMalformed)
		}
		if err != nil {
			return nil, fmt.Errorf("decode plan: step %d: %w", gm.GetStep(), err)
		}
		given[g.Step] = true
		p.Given = append(p.Given, g)
	}
	return p, nil
}

func policyMessage(p place.Policy) *schedpb.Policy {
	w := p.Weights
	return &schedpb.Policy{
		Strategy: uint32(p.Strategy), Partition: uint32(p.Partition),
		Performance: w.Performance, Locality: w.Locality, Latency: w.Latency, Availability: w.Availability,
	}
}

func policyOf(m *schedpb.Policy) (place.Policy, error) {
	p := place.Policy{
		Strategy: place.Strategy(min(m.GetStrategy(), math.MaxUint8)), Partition: place.Partition(min(m.GetPartition(), math.MaxUint8)),
		Weights: place.Weights{
			Performance: m.GetPerformance(), Locality: m.GetLocality(), Latency: m.GetLatency(), Availability: m.GetAvailability(),
		},
	}
	if err := p.Validate(); err != nil {
		return place.Policy{}, fmt.Errorf("policy: %w: %w", errMalformed, err)
	}
	return p, nil
}

func (d *decoder) candidatesOf(ss []string) ([]peer.ID, error) {
	if len(ss) > maxCandidates {
		return nil, fmt.Errorf("%w: %d candidates, the limit is %d", errMalformed, len(ss), maxCandidates)
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

func (d *decoder) givenOf(m *schedpb.Given) (steal.Given, error) {
	s, err := stepOf(m.GetStep())
	if err != nil {
		return steal.Given{}, err
	}
	g := steal.Given{Step: s, Secured: m.GetSecured()}
	if m.GetDone() == nil {
		g.Result, err = action.UnmarshalResult(m.GetResult())
		return g, err
	}
	done, err := d.doneOf(m.GetDone())
	if err != nil {
		return steal.Given{}, err
	}
	g.Done, g.Result = &done, &done.Entry.Result
	return g, done.Entry.Verify()
}
