package sched

import (
	"slices"
	"testing"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store/digest"
)

func TestWhatIsBroughtAhead(t *testing.T) {
	root := func(i, size int) digest.Digest {
		return digest.Of(digest.BLAKE3, append([]byte{byte(i), byte(i >> 8)}, make([]byte, size)...))
	}
	steps := make([]action.Step, 300)
	for i := range steps {
		steps[i].Inputs = root(i, 10)
	}
	steps[5].Inputs = steps[3].Inputs     // of several steps
	steps[6].Inputs = digest.Digest{}     // no sources
	steps[200].Inputs = root(200, 15<<10) // large
	steps[202].Inputs = root(202, 15<<10)
	a := newAhead(steps, nil)
	expect := func(step int, want ...int) {
		t.Helper()
		var ds []digest.Digest
		for _, i := range want {
			ds = append(ds, steps[i].Inputs)
		}
		if got := a.after(steal.Step(step)); !slices.Equal(got, ds) {
			t.Errorf("with step %d: %d roots, not those of %v", step, len(got), want)
		}
	}
	to := func(first, last int) (steps []int) {
		for i := first; i <= last; i++ {
			steps = append(steps, i)
		}
		return steps
	}
	expect(3, append([]int{4}, to(7, 69)...)...)
	expect(4)
	expect(20)
	expect(5) // its root is asked for with step 3
	expect(1, append([]int{2}, to(70, 132)...)...)
	expect(199, 200, 201)
	expect(298, 299)
	expect(299)
}
