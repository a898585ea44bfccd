package sched

import (
	"fmt"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/schedpb"
	"github.com/buildnet/buildnet/sched/steal"
)

// encodeOpen writes what is said in open builds alone.
func encodeOpen(m *schedpb.Envelope, msg steal.Message) error {
	switch msg := msg.(type) {
	case steal.Add:
		steps, err := action.MarshalSteps(msg.Steps)
		if err != nil {
			return fmt.Errorf("encode steps from %d on: %w", msg.First, err)
		}
		m.Body = &schedpb.Envelope_Add{Add: &schedpb.Add{First: uint32(msg.First), Steps: steps}}
	case steal.Drop:
		m.Body = &schedpb.Envelope_Drop{Drop: &schedpb.Drop{Step: uint32(msg.Step)}}
	case steal.Shut:
		m.Body = &schedpb.Envelope_Shut{Shut: &schedpb.Shut{}}
	case steal.Tools:
		m.Body = &schedpb.Envelope_Tools{Tools: &schedpb.Tools{Toolchains: msg.Toolchains}}
	default:
		return fmt.Errorf("encode %T: no such message", msg)
	}
	return nil
}

func decodeOpen(m *schedpb.Envelope) (steal.Message, error) {
	switch body := m.GetBody().(type) {
	case *schedpb.Envelope_Add:
		first, err := stepOf(body.Add.GetFirst())
		if err != nil {
			return nil, err
		}
		steps, err := action.UnmarshalSteps(body.Add.GetSteps())
		return steal.Add{First: first, Steps: steps}, err
	case *schedpb.Envelope_Drop:
		s, err := stepOf(body.Drop.GetStep())
		return steal.Drop{Step: s}, err
	case *schedpb.Envelope_Shut:
		return steal.Shut{}, nil
	case *schedpb.Envelope_Ask:
		specs, err := specsOf(body.Ask.GetSpecs())
		return steal.Ask{Specs: specs}, err
	case *schedpb.Envelope_Tools:
		return toolsOf(body.Tools)
	default:
		return nil, fmt.Errorf("no body, or one of a later version")
	}
}

func specsOf(ms []*schedpb.Spec) ([]steal.Spec, error) {
	if len(ms) > steal.MaxSpecs {
		return nil, fmt.Errorf("%d toolchains, the limit is %d", len(ms), steal.MaxSpecs)
	}
	var specs []steal.Spec
	for _, s := range ms {
		if len(s.GetSpec()) > maxSpec || len(s.GetDirs()) > maxSpec {
			return nil, fmt.Errorf("toolchain specification above %d bytes", maxSpec)
		}
		specs = append(specs, steal.Spec{Spec: s.GetSpec(), Dirs: s.GetDirs()})
	}
	return specs, nil
}

func toolsOf(m *schedpb.Tools) (steal.Message, error) {
	if len(m.GetToolchains()) > steal.MaxSpecs {
		return nil, fmt.Errorf("%d toolchains, the limit is %d", len(m.GetToolchains()), steal.MaxSpecs)
	}
	for _, t := range m.GetToolchains() {
		if len(t) > maxName {
			return nil, fmt.Errorf("toolchain digest of %d bytes", len(t))
		}
	}
	return steal.Tools{Toolchains: m.GetToolchains()}, nil
}
