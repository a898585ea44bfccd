// Package near finds what somebody probably meant to write, for errors that
// advise. It is pure. Start reading at DidYouMean.
package near

import (
	"fmt"
	"slices"
	"strings"
)

// maxNear bounds the names that an error suggests.
const maxNear = 3

// nearest returns the candidates that name was probably meant to be, the best
// first. A third of the letters may differ, as in git's suggestions.
func nearest(name string, candidates []string) []string {
	type scored struct {
		name     string
		distance int
	}
	var found []scored
	for _, c := range candidates {
		limit := max(len(name), len(c))/3 + 1
		if d := distance(strings.ToLower(name), strings.ToLower(c), limit); d <= limit {
			found = append(found, scored{c, d})
		}
	}
	slices.SortFunc(found, func(a, b scored) int {
		if a.distance != b.distance {
			return a.distance - b.distance
		}
		return strings.Compare(a.name, b.name)
	})
	var names []string
	for _, f := range found {
		if found[0].distance == 0 && f.distance > 0 {
			break // only the case of the letters was wrong
		}
		if len(names) < maxNear && !slices.Contains(names, f.name) {
			names = append(names, f.name)
		}
	}
	return names
}

// distance is Levenshtein's, or limit+1 if it is above limit.
func distance(a, b string, limit int) int {
	if len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit + 1
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal, best := row[0], i
		row[0] = i
		for j := 1; j <= len(b); j++ {
			substituted := diagonal
			if a[i-1] != b[j-1] {
				substituted++
			}
			diagonal = row[j]
			row[j] = min(substituted, row[j]+1, row[j-1]+1)
			best = min(best, row[j])
		}
		if best > limit {
			return limit + 1
		}
	}
	return row[len(b)]
}

// DidYouMean advises one of the candidates, or else what otherwise says.
func DidYouMean(name string, candidates []string, otherwise string) string {
	near := nearest(name, candidates)
	if len(near) == 0 {
		return otherwise
	}
	return fmt.Sprintf("did you mean %s?", strings.Join(near, ", "))
}
