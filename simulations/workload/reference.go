package workload

import "github.com/buildnet/buildnet/store/digest"

// End is what a step comes to.
type End uint8

const (
	// Made steps end well.
	Made End = iota + 1
	// Failed steps end with exit code 1.
	Failed
	// Behind steps wait for one that failed, and are never run.
	Behind
)

// String returns the end in lower case.
func (e End) String() string {
	switch e {
	case Made:
		return "made"
	case Failed:
		return "failed"
	case Behind:
		return "behind a failed step"
	default:
		return "unknown"
	}
}

// Reference is what a build comes to on a node that is alone and loses
// nothing.
type Reference struct {
	Ends []End
	// Fixed says that Actions and Outputs of the step follow from the graph: no
	// Careless step is below it, nor is it one.
	Fixed   []bool
	Actions []digest.Digest
	Outputs []digest.Digest
	// Fails says that some step fails.
	Fails bool
}

// Refer works a graph out. Without keep-going a build that has a failing step
// may leave out whatever it has not begun, so that Ends only says what becomes
// of those that are run: it is the same.
func Refer(g *Graph) *Reference {
	n := len(g.Steps)
	r := &Reference{Ends: make([]End, n), Fixed: make([]bool, n), Actions: make([]digest.Digest, n), Outputs: make([]digest.Digest, n)}
	for i := range g.Steps {
		r.refer(g, i)
	}
	return r
}

func (r *Reference) refer(g *Graph, i int) {
	s := &g.Steps[i]
	r.Ends[i], r.Fixed[i] = Made, s.Nature != Careless
	inputs := make([]digest.Digest, 0, len(s.Deps))
	actionFixed := true
	for _, on := range s.Deps {
		if r.Ends[on] != Made {
			r.Ends[i] = Behind
		}
		actionFixed = actionFixed && r.Fixed[on]
		inputs = append(inputs, r.Outputs[on])
	}
	r.Fixed[i] = r.Fixed[i] && actionFixed
	if r.Ends[i] == Behind {
		return
	}
	if actionFixed {
		r.Actions[i] = s.Action(inputs)
	}
	if s.Nature == Failing {
		r.Ends[i], r.Fails = Failed, true
		return
	}
	if r.Fixed[i] {
		r.Outputs[i] = s.Output(r.Actions[i], 0)
	}
}
