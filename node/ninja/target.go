package ninja

import (
	"github.com/buildnet/buildnet/node/project/ninja"
	"github.com/buildnet/buildnet/node/project/ninja/record"
)

// collect returns the nodes that the user means; the defaults for no names. deps
// is nil if the records have not been read.
func collect(g *ninja.Graph, deps *record.Deps, names []string) ([]*ninja.Node, error) {
	if len(names) == 0 {
		return g.DefaultNodes()
	}
	readerOf := func(n *ninja.Node) *ninja.Node {
		if deps == nil {
			return nil
		}
		output, ok := deps.Dependent(n.Path)
		if !ok {
			return nil
		}
		return g.Node(output)
	}
	nodes := make([]*ninja.Node, len(names))
	for i, name := range names {
		var err error
		if nodes[i], err = g.Target(name, readerOf); err != nil {
			return nil, err
		}
	}
	return nodes, nil
}

// didYouMean is the end of a message about a word that is none of words.
func didYouMean(word string, words ...string) string {
	if near := ninja.SimilarWord(word, words...); near != "" {
		return ", did you mean '" + near + "'?"
	}
	return ""
}
