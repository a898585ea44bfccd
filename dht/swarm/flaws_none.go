//go:build !flaws

package swarm

// flaws is nothing without the build tag of that name: see flaws.go.
type flaws struct{}

func (*flaws) fail() {}

func (*flaws) abandoned() bool { return false }
