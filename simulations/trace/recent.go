package trace

// Recent keeps the last events.
type Recent struct {
	ring []Event
	next int
	full bool
}

// NewRecent keeps the last n events.
func NewRecent(n int) *Recent { return &Recent{ring: make([]Event, n)} }

// Observe keeps an event.
func (r *Recent) Observe(e *Event) {
	if len(r.ring) == 0 {
		return
	}
	r.ring[r.next] = *e
	if r.next++; r.next == len(r.ring) {
		r.next, r.full = 0, true
	}
}

// Events are those that are kept, oldest first, in a slice of the caller's.
func (r *Recent) Events() []Event {
	if !r.full {
		return append([]Event(nil), r.ring[:r.next]...)
	}
	return append(append([]Event(nil), r.ring[r.next:]...), r.ring[:r.next]...)
}
