package invocations

import (
	"strconv"
	"strings"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store/digest"
)

// names are those of an invocation's steps. Steps of other actions may want the same
// one.
type names struct {
	taken map[action.StepID]bool
	last  map[string]int // the number of the last step that wanted a name, from 2 on
	told  map[wanted]bool
}

// wanted is what a step of a client's action would be called, if no other were.
type wanted struct {
	name   string
	action digest.Digest
}

func newNames() names {
	return names{taken: map[action.StepID]bool{}, last: map[string]int{}, told: map[wanted]bool{}}
}

// take returns a name that no other step has.
func (n names) take(w wanted) action.StepID {
	n.told[w] = true
	id := action.StepID(w.name)
	for number := max(n.last[w.name], 1); n.taken[id]; {
		number++
		id = numbered(w.name, number)
		n.last[w.name] = number
	}
	n.taken[id] = true
	return id
}

func numbered(name string, number int) action.StepID {
	return action.StepID(name + "#" + strconv.Itoa(number))
}

// remember takes a name that take returned before. One that ends in a number of the
// client's is taken for one of ours as well, which the action tells apart.
func (n names) remember(id action.StepID, act digest.Digest) {
	n.taken[id] = true
	n.told[wanted{string(id), act}] = true
	if at := strings.LastIndexByte(string(id), '#'); at >= 0 {
		if _, err := strconv.Atoi(string(id[at+1:])); err == nil {
			n.told[wanted{string(id[:at]), act}] = true
		}
	}
}
