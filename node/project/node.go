package project

import "fmt"

// kind is what a value of a configuration is.
type kind uint8

const (
	null kind = iota
	text
	number
	boolean
	list
	mapping
)

// String returns the kind with its article.
func (k kind) String() string {
	switch k {
	case null:
		return "nothing"
	case text:
		return "a string"
	case number:
		return "a number"
	case boolean:
		return "a boolean"
	case list:
		return "a list"
	case mapping:
		return "a mapping"
	default:
		return fmt.Sprintf("kind %d", uint8(k))
	}
}

// node is a value of a configuration, out of YAML or JSON alike.
type node struct {
	kind  kind
	text  string // of a scalar, as it was written
	line  int
	items []*node
	pairs []pair // in the order of the file; a key may appear twice
}

type pair struct {
	key   string
	line  int
	value *node
}

// Limits of a configuration's text. A generated one of 10,000 steps has some
// 2 MiB and nests 8 deep.
const (
	maxSourceBytes = 16 << 20
	maxNesting     = 100
	maxNodes       = 2_000_000 // after anchors are expanded
)
