package plan

import (
	"github.com/buildnet/buildnet/node/project/ninja"
)

// Files is how a plan sees the working tree.
type Files interface {
	ninja.Files
	// Stat returns a file's mtime in nanoseconds: 0 if there is no such file,
	// at least 1 if there is.
	Stat(path string) (int64, error)
}

// presence is what is known of a file.
type presence uint8

const (
	unknown presence = iota
	missing
	exists
)

// file is the state of a node.
type file struct {
	seen presence
	// mtime is the file's; of a file that is missing, 0 or the newest of what a
	// phony edge makes it stand for.
	mtime int64
	dirty bool
}

// time returns the file's mtime, and -1 before the file was looked at.
func (f *file) time() int64 {
	if f.seen == unknown {
		return -1
	}
	return f.mtime
}

// mark is where a scan is with an edge.
//
//	unvisited -> onStack -> visited -> unvisited   (dyndep says more of the edge)
type mark uint8

const (
	unvisited mark = iota
	onStack
	visited
)

// step is the state of an edge.
type step struct {
	mark mark
	// ready is set when no input needs to be made and the outputs are there.
	ready bool
	// depsLoaded is set when recorded inputs have been looked for, depsMissing
	// if there were none where there should be.
	depsLoaded, depsMissing bool
	want                    want
	// why is the first reason for the edge to run that was found.
	why string
	// rank is how much waits for the edge, once ranked.
	rank   float64
	ranked bool
}

// want is what a plan means to do with an edge.
//
//	absent -> passed -> toStart -> toFinish
//	            ^__________|                (restat found its inputs clean)
type want uint8

const (
	absent   want = iota // the plan does not know the edge
	passed               // only its inputs may have to be made
	toStart              // it has to run
	toFinish             // it has been handed out, or waits for its pool
)

const blockBits = 10

// table holds a value for each small number. Pointers into it stay valid while
// it grows, and graphs grow during a build.
type table[T any] struct {
	blocks []*[1 << blockBits]T
}

func (t *table[T]) at(id int) *T {
	for id>>blockBits >= len(t.blocks) {
		t.blocks = append(t.blocks, new([1 << blockBits]T))
	}
	return &t.blocks[id>>blockBits][id&(1<<blockBits-1)]
}
