package ninja

import (
	"errors"
	"fmt"
	"strings"
)

// Target returns the node that an argument names. As in ninja, "foo.c^" is the
// first output that is made from foo.c; if no edge says one, readerOf may know
// one from recorded dependencies. It may be nil.
func (g *Graph) Target(arg string, readerOf func(*Node) *Node) (*Node, error) {
	if arg == "" {
		return nil, errors.New("empty path")
	}
	path, ofReader := strings.CutSuffix(Canonical(arg), "^")
	n := g.Lookup(path)
	if n == nil {
		return nil, fmt.Errorf("unknown target '%s'%s", path, g.hint(path))
	}
	if !ofReader {
		return n, nil
	}
	if len(n.Out) > 0 && len(n.Out[0].Outputs) > 0 {
		return n.Out[0].Outputs[0], nil
	}
	if readerOf != nil {
		if reader := readerOf(n); reader != nil {
			return reader, nil
		}
	}
	return nil, fmt.Errorf("'%s' has no out edge", path)
}

// hint says what may have been meant by a target that does not exist.
func (g *Graph) hint(path string) string {
	switch path {
	case "clean":
		return ", did you mean 'ninja -t clean'?"
	case "help":
		return ", did you mean 'ninja -h'?"
	}
	if n := g.Similar(path); n != nil {
		return ", did you mean '" + n.Path + "'?"
	}
	return ""
}

// maxTypos is how many bytes may be wrong in what still looks like a name.
const maxTypos = 3

// Similar returns the first of the nodes whose paths are nearest to path, nil
// if none is near.
func (g *Graph) Similar(path string) *Node {
	var nearest *Node
	limit := maxTypos
	for _, n := range g.Nodes {
		if d := distance(n.Path, path, limit); d <= limit {
			nearest, limit = n, d-1
		}
	}
	return nearest
}

// SimilarWord returns the first of words that is nearest to s, "" if none is
// near.
func SimilarWord(s string, words ...string) string {
	nearest, limit := "", maxTypos
	for _, w := range words {
		if d := distance(w, s, limit); d <= limit {
			nearest, limit = w, d-1
		}
	}
	return nearest
}

// distance returns how many bytes must be put in, taken out or replaced to
// make b of a (Levenshtein 1966), or limit+1 if more than limit.
func distance(a, b string, limit int) int {
	if limit < 0 || len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit + 1
	}
	row := make([]int, len(b)+1) // distances between a so far and b[:i]
	for i := range row {
		row[i] = i
	}
	for y := 1; y <= len(a); y++ {
		diagonal := row[0]
		row[0] = y
		best := y
		for x := 1; x <= len(b); x++ {
			changed := diagonal
			if a[y-1] != b[x-1] {
				changed++
			}
			diagonal = row[x]
			row[x] = min(changed, row[x]+1, row[x-1]+1)
			best = min(best, row[x])
		}
		if best > limit {
			return limit + 1
		}
	}
	return min(row[len(b)], limit+1)
}
