package remake

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/makers"
)

// world is what a plan is about: actions, and which blobs are there.
type world struct {
	actions []deed
	there   map[int]bool
}

// deed is an action of a world.
type deed struct {
	reads, makes []int
	broken       bool
	fickle       bool // makes something else each time
}

func blobOf(n int) digest.Digest { return digest.Of(digest.SHA256, fmt.Append(nil, "blob ", n)) }

func makerOf(n int) makers.Maker {
	return makers.Maker{Action: digest.Of(digest.SHA256, fmt.Append(nil, "action ", n))}
}

func (w *world) number(m makers.Maker) int {
	for n := range w.actions {
		if makerOf(n) == m {
			return n
		}
	}
	panic("nobody's action")
}

// makers are found in the order of the actions.
func (w *world) makers(d digest.Digest) (ms []makers.Maker) {
	for n, a := range w.actions {
		if slices.ContainsFunc(a.makes, func(b int) bool { return blobOf(b) == d }) {
			ms = append(ms, makerOf(n))
		}
	}
	return ms
}

// can is all that can be there in the end.
func (w *world) can() map[int]bool {
	can := map[int]bool{}
	for b := range w.there {
		can[b] = true
	}
	for range w.actions {
		for _, a := range w.actions {
			if !a.broken && !a.fickle && !slices.ContainsFunc(a.reads, func(b int) bool { return !can[b] }) {
				for _, b := range a.makes {
					can[b] = true
				}
			}
		}
	}
	return can
}

// run executes a plan to its end, three actions at once that end in any order,
// and returns how often each was executed.
func (w *world) run(t *rapid.T, p *plan) map[int]int {
	runs := map[int]int{}
	var going []makers.Maker
	for range 10_000 {
		for len(going) < 3 {
			m, ok := p.take()
			if !ok {
				break
			}
			going = append(going, m)
		}
		if len(going) == 0 {
			if !p.settle() {
				return runs
			}
			continue
		}
		at := rapid.IntRange(0, len(going)-1).Draw(t, "ends")
		m := going[at]
		going = slices.Delete(going, at, at+1)
		w.end(p, m, runs)
	}
	t.Fatal("the plan never ends")
	return nil
}

func (w *world) end(p *plan, m makers.Maker, runs map[int]int) {
	n := w.number(m)
	a := w.actions[n]
	var lacks []digest.Digest
	for _, b := range a.reads {
		if !w.there[b] {
			lacks = append(lacks, blobOf(b))
		}
	}
	switch {
	case len(lacks) > 0:
		p.lacks(m, lacks)
		return
	case a.broken:
		p.broke(m)
		return
	}
	runs[n]++
	var here []digest.Digest
	for _, b := range a.makes {
		if !a.fickle {
			w.there[b] = true
		}
	}
	for _, d := range p.wantedOf(m) {
		for b := range w.there {
			if blobOf(b) == d {
				here = append(here, d)
			}
		}
	}
	p.made(m, here)
}

// TestWhatCanBeMadeIsMade draws worlds with copies, circles, broken actions, and
// actions that make something else each time.
func TestWhatCanBeMadeIsMade(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{there: map[int]bool{}}
		some := rapid.SliceOfNDistinct(rapid.IntRange(0, 9), 0, 3, rapid.ID[int])
		for _, b := range some.Draw(t, "there") {
			w.there[b] = true
		}
		for range rapid.IntRange(1, 10).Draw(t, "actions") {
			w.actions = append(w.actions, deed{
				reads: some.Draw(t, "reads"), makes: some.Draw(t, "makes"),
				broken: rapid.IntRange(0, 9).Draw(t, "broken") == 0, fickle: rapid.IntRange(0, 9).Draw(t, "fickle") == 0,
			})
		}
		can := w.can()
		p := newPlan(w.makers)
		var wanted []int
		for b := range 10 {
			if !w.there[b] && rapid.Bool().Draw(t, "wanted") {
				wanted = append(wanted, b)
				p.want(blobOf(b))
			}
		}
		runs := w.run(t, p)
		for _, b := range wanted {
			if p.isHere(blobOf(b)) != can[b] || can[b] != w.there[b] {
				t.Fatalf("blob %d is here: %v, in truth: %v, can be made: %v", b, p.isHere(blobOf(b)), w.there[b], can[b])
			}
		}
		for n, times := range runs {
			if times > 1 {
				t.Fatalf("action %d was executed %d times", n, times)
			}
		}
	})
}

func TestALongChainIsMadeFromItsEnd(t *testing.T) {
	const length = 5000
	w := &world{there: map[int]bool{0: true}}
	numbers, blobs := map[makers.Maker]int{}, map[digest.Digest]int{}
	for n := range length {
		w.actions = append(w.actions, deed{reads: []int{n}, makes: []int{n + 1}})
		numbers[makerOf(n)], blobs[blobOf(n+1)] = n, n+1
	}
	p := newPlan(func(d digest.Digest) []makers.Maker { return []makers.Maker{makerOf(blobs[d] - 1)} })
	p.want(blobOf(length))
	tries := 0
	for m, ok := p.take(); ok; m, ok = p.take() {
		tries++
		n := numbers[m]
		if !w.there[n] {
			p.lacks(m, []digest.Digest{blobOf(n)})
			continue
		}
		w.there[n+1] = true
		p.made(m, p.wantedOf(m))
	}
	if !p.isHere(blobOf(length)) || tries != 2*length-1 {
		t.Errorf("made: %v, with %d tries of %d actions", p.isHere(blobOf(length)), tries, length)
	}
}

func TestWhatIsLostAgainAndAgainIsGivenUp(t *testing.T) {
	w := &world{there: map[int]bool{}, actions: []deed{{makes: []int{0}}, {reads: []int{0}, makes: []int{1}}}}
	p := newPlan(w.makers)
	p.want(blobOf(1))
	tries := 0
	for m, ok := p.take(); ok; m, ok = p.take() {
		if tries++; w.number(m) == 1 {
			p.lacks(m, []digest.Digest{blobOf(0)})
			continue
		}
		p.made(m, p.wantedOf(m))
	}
	if p.isHere(blobOf(1)) || p.settle() || tries > 2*maxTries {
		t.Errorf("made: %v, after %d tries", p.isHere(blobOf(1)), tries)
	}
}
