package trace

// FNV-1a, 64 bits.
const (
	offset64 = 14695981039346656037
	prime64  = 1099511628211
)

// Hash sums events up: two runs with the same Sum had the same events in the
// same order. Its zero value is ready.
type Hash struct {
	sum    uint64
	events uint64
}

// Observe adds an event.
func (h *Hash) Observe(e *Event) {
	if h.events == 0 {
		h.sum = offset64
	}
	h.events++
	h.add(uint64(e.At))
	h.add(uint64(e.Kind))
	h.add(uint64(e.Node))
	h.add(uint64(e.Peer))
	h.add(uint64(e.Build))
	h.add(e.Epoch.Number)
	h.add(uint64(e.Epoch.Leader))
	h.add(uint64(e.Step))
	h.add(uint64(e.Value))
	h.add(e.Digest)
	h.add(uint64(len(e.Text)))
	for i := range len(e.Text) {
		h.sum = (h.sum ^ uint64(e.Text[i])) * prime64
	}
}

// add takes a word at once: eight times as fast as FNV by bytes, and a shift
// brings the upper bits down, which a multiplication alone never does.
func (h *Hash) add(word uint64) {
	h.sum = (h.sum ^ word) * prime64
	h.sum ^= h.sum >> 32
}

// Sum is the hash of all events so far.
func (h *Hash) Sum() uint64 { return h.sum }

// Events is how many there were.
func (h *Hash) Events() uint64 { return h.events }
