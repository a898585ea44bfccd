package registry

import (
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
)

// maxBox bounds what waits to be written to one peer, in bytes: some entries
// at their limit. A peer that lets it fill up is hung.
const maxBox = 8 * maxFrame

// gatherTime is what waits for others that nobody waits for: a frame costs more
// than what is in it.
const gatherTime = 50 * time.Millisecond

// frameEvery is how soon a frame may follow another: what comes after a pause
// goes at once, where there is much it shares a frame.
const frameEvery = 4 * time.Millisecond

// haste of what is to be written.
type haste uint8

const (
	atOnce haste = iota
	// inTime goes with the next frame, within gatherTime.
	inTime
)

// outbox holds what is to be written to a stream. What came together is
// written together.
type outbox[T proto.Message] struct {
	filled chan struct{} // holds one token while there is something to write now

	mu    sync.Mutex
	items []T
	bytes int
	due   *time.Timer // of items that are in no haste; nil while there are none
}

func newOutbox[T proto.Message]() *outbox[T] { return &outbox[T]{filled: make(chan struct{}, 1)} }

// put adds an item; false says that the box is full.
func (o *outbox[T]) put(item T, h haste) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	size := proto.Size(item)
	if o.bytes+size > maxBox {
		return false
	}
	o.items, o.bytes = append(o.items, item), o.bytes+size
	switch {
	case h == atOnce:
		o.signal()
	case o.due == nil:
		o.due = time.AfterFunc(gatherTime, o.signal)
	}
	return true
}

func (o *outbox[T]) signal() {
	select {
	case o.filled <- struct{}{}:
	default:
	}
}

// take returns the items of the next frame; there may be none.
func (o *outbox[T]) take() []T {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.due != nil {
		o.due.Stop()
		o.due = nil
	}
	n, size := 0, 0
	for n < len(o.items) && n < maxBatch && size < batchBytes {
		size += proto.Size(o.items[n])
		n++
	}
	batch := o.items[:n:n]
	o.items, o.bytes = o.items[n:], o.bytes-size
	if len(o.items) > 0 {
		o.signal()
	}
	return batch
}
