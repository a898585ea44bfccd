package node

import (
	"bytes"
	"context"
	"sync"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/disk"
)

// handed is the store as an executor sees it: before it lie the messages of jobs
// in hand that nobody else will ask for. They are never written.
type handed struct {
	*disk.Store

	mu       sync.Mutex
	messages map[digest.Digest]*message
}

// message is the content of one, and how many jobs have it.
type message struct {
	content []byte
	jobs    int
}

var _ store.Blobs = (*handed)(nil)

func newHanded(s *disk.Store) *handed {
	return &handed{Store: s, messages: map[digest.Digest]*message{}}
}

// hold has messages until release is called, once.
func (h *handed) hold(blobs []action.Blob) (release func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, b := range blobs {
		m, ok := h.messages[b.Digest]
		if !ok {
			m = &message{content: b.Content}
			h.messages[b.Digest] = m
		}
		m.jobs++
	}
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, b := range blobs {
			if m := h.messages[b.Digest]; m.jobs > 1 {
				m.jobs--
			} else {
				delete(h.messages, b.Digest)
			}
		}
	}
}

// Open implements store.Blobs.
func (h *handed) Open(ctx context.Context, d digest.Digest) (store.Reader, error) {
	h.mu.Lock()
	m, ok := h.messages[d]
	h.mu.Unlock()
	if ok {
		return inMemory{bytes.NewReader(m.content)}, nil
	}
	return h.Store.Open(ctx, d)
}

// inMemory reads what is in memory.
type inMemory struct{ *bytes.Reader }

// Close implements io.Closer.
func (inMemory) Close() error { return nil }
