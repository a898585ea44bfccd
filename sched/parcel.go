package sched

import (
	"fmt"
	"sync"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store/digest"
)

// Limits of the messages that travel with an assignment. Whoever gets a step
// needs them before anything else, and would ask for them one after the other.
const (
	// maxParcel in bytes, of one assignment: more is brought as any other blob.
	maxParcel = 64 << 10
	// maxParcelled is how many messages it has.
	maxParcelled = 256
	// maxParcels in bytes, of those that a leader keeps at least; as many again may
	// be. What is wanted of older ones is in its store.
	maxParcels = 16 << 20
)

// parcels are the messages of the actions that a leader has made lately. The zero
// value is empty.
type parcels struct {
	turn     sync.Mutex // of who keeps one
	mu       sync.Mutex
	new, old map[digest.Digest][][]byte
	bytes    int // of new; of whose turn it is
}

// fits reports whether the messages of an action are few enough to travel.
func fits(a *action.Assembled) bool {
	size := 0
	for _, b := range a.Blobs {
		size += len(b.Content)
	}
	return size <= maxParcel && len(a.Blobs) <= maxParcelled
}

// keep takes the messages of an action. What has to go for that, save sees
// before; until it returns they are still here, and nobody else keeps any.
func (p *parcels) keep(a *action.Assembled, save func(going map[digest.Digest][][]byte)) {
	size := 0
	messages := make([][]byte, len(a.Blobs))
	for i, b := range a.Blobs {
		messages[i] = b.Content
		size += len(b.Content)
	}
	p.turn.Lock()
	defer p.turn.Unlock()
	full := p.new == nil || p.bytes+size > maxParcels
	if full && len(p.old) > 0 {
		save(p.old)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if full {
		p.new, p.old, p.bytes = map[digest.Digest][][]byte{}, p.new, 0
	}
	p.new[a.Action] = messages
	p.bytes += size
}

// of returns the messages of an action; nil if they are in the own store, or
// forgotten.
func (p *parcels) of(a digest.Digest) [][]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if messages, ok := p.new[a]; ok {
		return messages
	}
	return p.old[a]
}

// checkParcel checks what a peer sent along.
func checkParcel(messages [][]byte) error {
	size := 0
	for _, m := range messages {
		size += len(m)
	}
	if size > maxParcel || len(messages) > maxParcelled {
		return fmt.Errorf("assignment with %d messages of %d bytes", len(messages), size)
	}
	return nil
}

// unpack names the messages that came with an assignment by what is in them: a
// leader can add to the own store, and change nothing there.
func unpack(messages [][]byte) []action.Blob {
	blobs := make([]action.Blob, len(messages))
	for i, m := range messages {
		blobs[i] = action.Blob{Digest: digest.Of(digest.BLAKE3, m), Content: m}
	}
	return blobs
}
