package exec

import (
	"bytes"
	"context"
	"fmt"
	"sync"

	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

// noteBytes is what the note of a cut may take of the limit.
const noteBytes = 128

// printed keeps the beginning and the end of what is written to it: the end
// has the error, the beginning says of what.
type printed struct {
	limit int // of what bytes returns, the note of a cut included

	mu   sync.Mutex
	head []byte
	tail []byte // a ring once it is full
	at   int    // where the ring begins
	cut  int64
}

// Write implements io.Writer; it never fails.
func (p *printed) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(b)
	half := (p.limit - noteBytes) / 2
	take := min(half-len(p.head), len(b))
	p.head = append(p.head, b[:take]...)
	b = b[take:]
	if grow := min(half-len(p.tail), len(b)); grow > 0 {
		p.tail = append(p.tail, b[:grow]...)
		b = b[grow:]
	}
	p.cut += int64(len(b))
	for len(b) > 0 {
		copied := copy(p.tail[p.at:], b)
		b = b[copied:]
		p.at = (p.at + copied) % len(p.tail)
	}
	return n, nil
}

func (p *printed) bytes() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut == 0 {
		return bytes.Join([][]byte{p.head, p.tail}, nil)
	}
	note := fmt.Appendf(nil, "\n[buildnet: %d bytes of output cut here; the limit is %d]\n", p.cut, p.limit)
	return bytes.Join([][]byte{p.head, note, p.tail[p.at:], p.tail[:p.at]}, nil)
}

// keep stores what was printed; the digest is zero if that is nothing.
func (p *printed) keep(ctx context.Context, blobs store.Blobs) (digest.Digest, error) {
	content := p.bytes()
	if len(content) == 0 {
		return digest.Digest{}, nil
	}
	return store.AddBytes(ctx, blobs, content)
}
