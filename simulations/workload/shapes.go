package workload

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
)

// Chain is n steps that wait for one another.
func Chain(n int) *Graph {
	return shape(n, func(i int) (string, []int) {
		if i == 0 {
			return "link0000", nil
		}
		return fmt.Sprintf("link%04d", i), []int{i - 1}
	})
}

// Wide is n steps that wait for nothing, and one that waits for all of them.
func Wide(n int) *Graph {
	return shape(n+1, func(i int) (string, []int) {
		if i < n {
			return fmt.Sprintf("leaf%04d", i), nil
		}
		return "all", span(0, n)
	})
}

// Layers is depth layers of width steps; each step waits for some three of
// the layer below.
func Layers(width, depth int) *Graph {
	return shape(width*depth, func(i int) (string, []int) {
		layer, at := i/width, i%width
		name := fmt.Sprintf("layer%03d-%03d", layer, at)
		if layer == 0 {
			return name, nil
		}
		var deps []int
		for k := range width {
			if (k+at)%width < min(3, width) {
				deps = append(deps, (layer-1)*width+k)
			}
		}
		return name, deps
	})
}

// Tangle is layers of width steps, as many as depth; each step waits for up to
// three of the layer below, anywhere in it.
func Tangle(rng *rand.Rand, width, depth int) *Graph {
	return shape(width*depth, func(i int) (string, []int) {
		layer := i / width
		name := fmt.Sprintf("layer%03d-%03d", layer, i%width)
		if layer == 0 {
			return name, nil
		}
		on := map[int]bool{}
		for range 3 {
			on[(layer-1)*width+rng.IntN(width)] = true
		}
		return name, slices.Sorted(maps.Keys(on))
	})
}

// Chains is n chains of so many steps, and one step that waits for all of them.
func Chains(n, length int) *Graph {
	return shape(n*length+1, func(i int) (string, []int) {
		if i == n*length {
			return "all", span(n*(length-1), n*length)
		}
		name := fmt.Sprintf("chain%03d-%04d", i%n, i/n)
		if i < n {
			return name, nil
		}
		return name, []int{i - n}
	})
}

// ForkJoin is a step that many wait for, one that waits for all of those, and so
// on.
func ForkJoin(widths ...int) *Graph {
	g := shape(1, func(int) (string, []int) { return "begin", nil })
	for stage, width := range widths {
		from := len(g.Steps) - 1
		g.Steps = append(g.Steps, shape(width+1, func(i int) (string, []int) {
			if i < width {
				return fmt.Sprintf("stage%03d-%04d", stage, i), []int{from}
			}
			return fmt.Sprintf("join%03d", stage), span(from+1, from+1+width)
		}).Steps...)
	}
	return g
}

// Diamond is one step, n that wait for it, and one that waits for those.
func Diamond(n int) *Graph {
	return shape(n+2, func(i int) (string, []int) {
		switch {
		case i == 0:
			return "top", nil
		case i <= n:
			return fmt.Sprintf("side%04d", i-1), []int{0}
		}
		return "bottom", span(1, n+1)
	})
}

// perArchive is how many objects go into one archive of Compile.
const perArchive = 12

// Compile is a C project: n compiles, an archive of each dozen, a program of
// all archives, and one of each archive alone.
func Compile(n int) *Graph {
	archives := (n + perArchive - 1) / perArchive
	return shape(n+2*archives+1, func(i int) (string, []int) {
		switch a := i - n; {
		case a < 0:
			return fmt.Sprintf("src%04d.o", i), nil
		case a < archives:
			return fmt.Sprintf("lib%03d.a", a), span(a*perArchive, min(n, (a+1)*perArchive))
		case a == archives:
			return "program", span(n, n+archives)
		default:
			return fmt.Sprintf("test%03d", a-archives-1), []int{i - archives - 1}
		}
	})
}

// Packages is a repository of n packages, each of which waits for up to four
// of those before it, near ones more often.
func Packages(n int, rng *rand.Rand) *Graph {
	return shape(n, func(i int) (string, []int) {
		on := map[int]bool{}
		for range min(i, rng.IntN(5)) {
			back := 1 + int(float64(i)*rng.Float64()*rng.Float64())
			on[max(0, i-back)] = true
		}
		return fmt.Sprintf("package%04d", i), slices.Sorted(maps.Keys(on))
	})
}

// shape makes n steps of one second each, whose contents are their names.
func shape(n int, step func(i int) (name string, deps []int)) *Graph {
	g := &Graph{Steps: make([]Step, n)}
	for i := range g.Steps {
		name, deps := step(i)
		g.Steps[i] = Step{Name: name, Content: name, Deps: deps, Cost: 1, InputBytes: 16 << 10, OutputBytes: 32 << 10}
	}
	return g
}

// span is the numbers from first to before end.
func span(first, end int) []int {
	all := make([]int, end-first)
	for i := range all {
		all[i] = first + i
	}
	return all
}
