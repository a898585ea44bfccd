package workload

import (
	"encoding/binary"
	"time"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store/digest"
)

// timeout is what every step asks for: nothing here runs into it.
const timeout = time.Hour

// Actions is the graph as the machines of package steal take it.
func (g *Graph) Actions() (*action.Graph, error) {
	steps := make([]action.Step, len(g.Steps))
	for i := range g.Steps {
		s := &g.Steps[i]
		steps[i] = action.Step{
			ID: action.StepID(s.Name), Argv: []string{"make"}, Inputs: s.Sources(), Timeout: timeout,
			Outputs: []string{s.Path()}, Reach: action.Anywhere, Sharing: action.Shared, Cost: s.Hint,
			Package: s.Package, OutputBytes: s.SizeHint, Rank: s.Rank,
		}
		if s.Here {
			steps[i].Reach, steps[i].Sharing = action.InitiatorOnly, action.Unshared
		}
		if s.Toolchain != "" {
			steps[i].Platform = []action.Property{
				{Name: action.PropertyToolchain, Value: s.Toolchain}, {Name: action.PropertyToolchainSpec, Value: s.Toolchain},
			}
		}
		for _, on := range s.Deps {
			steps[i].Deps = append(steps[i].Deps, action.Dep{Step: action.StepID(g.Steps[on].Name)})
		}
	}
	return action.NewGraph(steps)
}

// Sources is the blob of what the step reads besides other steps' outputs.
func (s *Step) Sources() digest.Digest { return name("sources", s.InputBytes, []byte(s.Content)) }

// Path is the one output of the step: it follows from the content, because the
// paths of its outputs are part of an action.
func (s *Step) Path() string { return "out/" + name("path", 0, []byte(s.Content)).Hex() }

// Action is what the step is when the outputs that it depends on, in the order
// of Deps, are these.
func (s *Step) Action(inputs []digest.Digest) digest.Digest {
	shorts := make([]uint64, len(inputs))
	for i, d := range inputs {
		shorts[i] = Short(d)
	}
	return s.ActionOf(shorts)
}

// ActionOf is Action for one who knows no more of the inputs than events tell:
// the first 8 bytes of each.
func (s *Step) ActionOf(inputs []uint64) digest.Digest {
	b := append([]byte(s.Content), 0)
	b = append(append(b, s.Toolchain...), 0)
	if s.Here {
		b = append(b, "here"...)
	}
	for _, d := range inputs {
		b = binary.BigEndian.AppendUint64(append(b, 0), d)
	}
	return name("action", 0, b)
}

// Output is what an execution of the action makes. Only what a Careless step
// makes follows from nonce, which is to be another each time.
func (s *Step) Output(of digest.Digest, nonce uint64) digest.Digest {
	b := of.Binary()
	if s.Nature == Careless {
		b = binary.BigEndian.AppendUint64(b, nonce)
	}
	return name("output", s.OutputBytes, b)
}

// name makes the digest of a blob that has no bytes in memory.
func name(kind string, size int64, b []byte) digest.Digest {
	hash := digest.Of(digest.BLAKE3, append([]byte(kind+"\x00"), b...)).Hash()
	d, err := digest.New(digest.BLAKE3, hash[:], size)
	if err != nil {
		panic("workload: a hash of the right length and a size: " + err.Error())
	}
	return d
}

// Short is the first 8 bytes of a digest, as events carry it; 0 of none.
func Short(d digest.Digest) uint64 {
	hash := d.Hash()
	return binary.BigEndian.Uint64(hash[:8])
}
