package steal

import "slices"

// Whose is who asked for what takes a slot of a node.
type Whose uint8

const (
	// Ours are steps of builds that were asked for on this node.
	Ours Whose = iota
	// Theirs are steps of the builds of other members.
	Theirs
	// Local are commands outside of builds, which the user of this machine runs here.
	Local
)

// Slots are those of one node, for the steps of all builds together and for the
// commands that are run here outside of builds. It says who begins when.
//
// What the user of this machine asked for, steps and commands, begins in the order
// in which it came, and fills no more than the slots. A command waits for no step
// of another member's build: while those have slots that it would have without them
// it begins beside, and so does what it waits behind. Of theirs nothing begins while
// a command waits, nor until fewer run than there are slots.
type Slots struct {
	all, lent int
	worked    int // by builds, at most
	used      [Local + 1]int
	waiting   []*Turn // in the order in which they came
}

// Turn is one who waits for a slot, or has one.
type Turn struct {
	Whose Whose
	// Within is the command that this one is a part of, and which waits for it: the
	// first such command has its slot meanwhile. It may be nil.
	Within *Turn
	// Begin is for the driver, who calls it when Serve has named the turn.
	Begin func()

	has   bool
	lends *Turn // who has the slot of this one
	from  *Turn // whose slot this one has; nil if it is counted
}

// NewSlots returns the slots of a node, one at least, all of which are lent; one
// with none works for no build.
func NewSlots(all int) *Slots {
	most := max(all, 1)
	return &Slots{all: most, lent: most, worked: max(all, 0)}
}

// Lend bounds how many slots the builds of others have. What runs beyond it goes on.
func (s *Slots) Lend(most int) { s.lent = min(max(most, 0), s.all) }

// Lends returns that bound.
func (s *Slots) Lends() int { return s.lent }

// Ask has t wait for a slot.
func (s *Slots) Ask(t *Turn) { s.waiting = append(s.waiting, t) }

// Leave ends t's waiting, or gives its slot back.
func (s *Slots) Leave(t *Turn) {
	if !t.has {
		s.waiting = slices.DeleteFunc(s.waiting, func(o *Turn) bool { return o == t })
		return
	}
	t.has = false
	heir := t.lends // it goes on, with what is its own from now on
	t.lends = nil
	switch {
	case heir != nil:
		heir.from = t.from
		if t.from != nil {
			t.from.lends = heir
		}
	case t.from != nil:
		t.from.lends = nil
	default:
		s.used[t.Whose]--
	}
	t.from = nil
}

// Serve returns those that begin now, in this order.
func (s *Slots) Serve() []*Turn {
	var begin []*Turn
	for {
		before := len(begin)
		begin = s.serve(begin, func(t *Turn, _ bool) bool { return t.borrow() })
		begin = s.serve(begin, s.take)
		if len(begin) == before {
			return begin
		}
	}
}

// serve has those begin that get what they wait for. Of each, get is told whether
// a command waits behind it.
func (s *Slots) serve(begin []*Turn, get func(t *Turn, behind bool) bool) []*Turn {
	commands := 0
	for _, t := range s.waiting {
		if t.Whose == Local {
			commands++
		}
	}
	s.waiting = slices.DeleteFunc(s.waiting, func(t *Turn) bool {
		if t.Whose == Local {
			commands--
		}
		if t.has = get(t, commands > 0); t.has {
			begin = append(begin, t)
		}
		return t.has
	})
	return begin
}

// borrow takes the slot of the command that t is a part of, if nobody has it.
func (t *Turn) borrow() bool {
	if t.Within == nil || !t.Within.has || t.Within.lends != nil {
		return false
	}
	t.from, t.Within.lends = t.Within, t
	return true
}

// take takes a slot, if t may have one.
func (s *Slots) take(t *Turn, behind bool) bool {
	if !s.room(t.Whose, behind) {
		return false
	}
	s.used[t.Whose]++
	return true
}

// room reports whether somebody may begin. Of commands behind him it matters
// whether there are any.
func (s *Slots) room(w Whose, behind bool) bool {
	own := s.used[Ours] + s.used[Local]
	free := own+s.used[Theirs] < s.all
	switch {
	case w == Theirs:
		return free && !behind && s.used[Theirs] < s.lent
	case w == Ours && !behind || flawPatient:
		return free
	default:
		return own < s.all
	}
}

// For is how many slots the builds of w may count with: those that no command has,
// and that none waits for before the builds of others. A build of this node's user
// takes turns with commands, and has one at least.
func (s *Slots) For(w Whose) int {
	free := s.all - s.used[Local]
	if w == Ours {
		return min(max(free, 1), s.worked)
	}
	for _, t := range s.waiting {
		if t.Whose == Local {
			free--
		}
	}
	return max(min(s.lent, s.worked, free), 0)
}
