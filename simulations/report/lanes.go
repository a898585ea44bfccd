package report

import "slices"

// lanes are the slots of nodes, as they are taken.
type lanes [][]bool

// take returns the lowest slot of a node that is free.
func (l lanes) take(node int) int {
	lane := slices.Index(l[node], false)
	if lane < 0 {
		lane = len(l[node])
		l[node] = append(l[node], false)
	}
	l[node][lane] = true
	return lane
}

func (l lanes) free(node, lane int) { l[node][lane] = false }
