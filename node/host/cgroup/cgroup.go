// Package cgroup is this machine's control groups, of either version: what they
// give this process, how much is used there, and a group of low weight for the
// work of others. It reads and writes files of the kernel and starts nothing.
// Start reading at Open.
package cgroup

// Weight is how much a group's processes count against those beside it when
// all want the processor, in the units of cgroup v2: 100 is an ordinary one.
type Weight int

// The weights of the work of others.
const (
	// Low is when nobody else wants much of the machine: they share it ten to one.
	Low Weight = 10
	// Lowest is the least that there is.
	Lowest Weight = 1
)

// Trickle is the bound of a group that is to stand still, in processors: one
// millisecond in a second, the least that the kernel takes. What is bound so
// can still be killed, and notices when its node is gone; what a freezer of
// version 1 holds cannot.
const Trickle = 0.001

// Means are what can be done to the work of others. The zero value is none.
type Means struct {
	// Weight says that it has a weight of its own, Quota that its use can be
	// bound, Freeze that it can be stopped.
	Weight, Quota, Freeze bool
}
