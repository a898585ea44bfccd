// Package workload is what simulated builds are made of: graphs of steps with
// costs and sizes, drawn, generated in known shapes, or read from a build that
// took place; and what such a build must come to. It is pure. Start reading at
// Graph.
package workload

// Graph is the steps of one build. A step depends on earlier ones only.
type Graph struct {
	Steps []Step
}

// Step is one step of a Graph.
type Step struct {
	// Name is unique in the graph.
	Name string
	// Content is what the step's sources and command are: steps of equal
	// Content, in whichever build, with equal inputs are the same action.
	Content string
	// Deps are the places of the steps whose outputs it reads, ascending.
	Deps []int
	// Cost is the work of it, in BPU-seconds on one core.
	Cost float64
	// Hint is what the scheduler believes of Cost beforehand, SizeHint of
	// OutputBytes; 0 if nothing.
	Hint     float64
	SizeHint int64
	// InputBytes are the sources, which the initiator has; OutputBytes is what
	// it makes, as one blob.
	InputBytes, OutputBytes int64
	Nature                  Nature
	// Platform names a toolchain that only some nodes have; "" runs anywhere.
	Toolchain string
	// Here steps run on the initiator alone.
	Here bool
	// Package is what it belongs to, if anything.
	Package string
	// Rank is what the scheduler believes to wait for it beyond the graph, in
	// BPU-seconds.
	Rank float64
}

// Nature is what a step does to whoever runs it.
type Nature uint8

const (
	// Sound steps make the same of the same inputs.
	Sound Nature = iota
	// Failing steps exit with 1.
	Failing
	// Killing steps end the node that runs them, unless it is the initiator.
	Killing
	// Careless steps make something else each time.
	Careless
	// Losing steps' outputs are lost with the first execution.
	Losing
)
