package steal

import (
	"slices"
	"time"
)

// Ebb is how long slots have been back before a leader hears of it, as long as the
// worker has enough in hand to fill them: a command that had one (see Slots) is
// often followed by the next.
const Ebb = 100 * time.Millisecond

// Resize gives this build so many slots from now on. What was not begun and
// finds no room any more goes back to the leader; what runs goes on.
func (h *Hand) Resize(now time.Time, slots int) HandOutput {
	h.begin(now)
	slots = max(slots, 0)
	if h.over || slots == h.opts.Slots {
		return h.out
	}
	h.opts.Slots = slots
	switch {
	case slots > h.said && h.ebbs.IsZero():
		h.ebbs = now
	case slots <= h.said:
		h.ebbs = time.Time{}
	}
	if slots < h.said {
		h.say()
		h.want() // first: what goes back must not come again
		h.giveBack(2*slots, running)
	}
	return h.finish()
}

// grow tells of slots that are back.
func (h *Hand) grow() {
	if !h.ebbs.IsZero() && (len(h.jobs) < h.opts.Slots || h.now.Sub(h.ebbs) >= Ebb) {
		h.say()
	}
}

// say tells the leader of the slots that the build has.
func (h *Hand) say() {
	h.said, h.ebbs = h.opts.Slots, time.Time{}
	if h.joined {
		h.reply(Resize{Slots: h.says()})
	}
}

// says is how many slots a leader hears of. One at least, if there may be some
// again: who has none takes part in nothing, and a build that lacks everybody
// else gives up. What a worker takes just now it says by Want.
func (h *Hand) says() int {
	if h.draining || h.opts.Most == 0 {
		return h.slots()
	}
	return max(h.slots(), 1)
}

// Release gives back what runs as well: its work here is lost. It means
// something to a worker without slots; any other would be given it again.
func (h *Hand) Release(now time.Time) HandOutput {
	h.begin(now)
	if h.over {
		return h.out
	}
	h.giveBack(0, running+1)
	return h.finish()
}

// giveBack ends jobs before a stage, the newest first, until there are no more
// than most.
func (h *Hand) giveBack(most int, before stage) {
	var back []*job
	for _, j := range slices.Backward(h.jobs) {
		if len(h.jobs)-len(back) > most && j.stage < before {
			back = append(back, j)
		}
	}
	for _, j := range slices.Backward(back) {
		h.cancel(j)
		if h.joined {
			h.reply(Return{Step: j.Step})
		}
	}
}
