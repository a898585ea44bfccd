package disk

import (
	"bytes"
	"sync"

	"github.com/buildnet/buildnet/store/digest"
)

const (
	// recentBlob bytes at most has a blob that is remembered: messages, which are
	// read several times right after they were written.
	recentBlob = 2 << 10
	// recentBytes are remembered twice over.
	recentBytes = 2 << 20
)

// recent remembers blobs that were written a moment ago, in two generations:
// when the young are many they become the old, and those are forgotten. It says
// nothing of whether a blob is in the store. Its zero value is empty.
type recent struct {
	mu         sync.Mutex
	young, old map[digest.Digest][]byte
	bytes      int // of young
}

// add copies content.
func (r *recent) add(d digest.Digest, content []byte) {
	if len(content) > recentBlob {
		return
	}
	content = bytes.Clone(content)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.young == nil || r.bytes >= recentBytes {
		r.young, r.old, r.bytes = map[digest.Digest][]byte{}, r.young, 0
	}
	r.young[d] = content
	r.bytes += len(content) + digest.BinarySize
}

// of returns the content of d, which nobody may change.
func (r *recent) of(d digest.Digest) ([]byte, bool) {
	if d.Size() > recentBlob {
		return nil, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	content, ok := r.young[d]
	if !ok {
		content, ok = r.old[d]
	}
	return content, ok
}
