package cas

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/buildnet/buildnet/node/reapi/fault"
	"github.com/buildnet/buildnet/node/reapi/names"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

const (
	// maxUploads bounds the uploads that are neither whole nor given up. Each
	// takes a goroutine, up to 400 KiB, and an open file if its blob is large.
	maxUploads = 512
	// maxCut bounds those of them that no call goes on with.
	maxCut = 128
	// maxCutAge is how long a client may take to go on with an upload.
	maxCutAge = 10 * time.Minute
)

var (
	// errSettled ends writes of an upload whose store has come to an end.
	errSettled = errors.New("the store takes no more of it")
	errDropped = errors.New("the upload was given up")
	errTaken   = fault.Errorf(codes.Aborted, "another call goes on with this upload")
	errCrowded = fault.Errorf(codes.ResourceExhausted, "too many uploads at once; begin this one again")
	errEnding  = fault.Errorf(codes.Unavailable, "the node is about to end; try again in a moment")
)

// uploadKey tells uploads apart: clients cannot go on with those of others.
type uploadKey struct {
	client string
	name   names.Upload
}

// upload is a blob on its way into the store, which reads it from a pipe. Calls
// write to the pipe one after the other; what they write is never compressed.
//
//	new ── attached ⇄ cut ── (settled or dropped)
type upload struct {
	key       uploadKey
	pipe      *io.PipeWriter
	committed atomic.Int64
	last      atomic.Int64 // when bytes came, in Unix nanoseconds

	settled chan struct{} // closed when the store has come to an end
	err     error         // how; set before settled is closed

	// turn is held by who writes or takes the upload over.
	turn chan struct{}

	// guarded by uploads.mu:
	peer string // the connection of the call that it is attached to
	gen  int    // counts the calls that it was attached to
	cut  *time.Timer
	gone bool
}

// uploads are all of a service. An upload is in it until it is whole, wrong,
// too old, or one too many.
type uploads struct {
	blobs store.Blobs
	ctx   context.Context // of the store's work, which outlives calls
	end   context.CancelFunc
	work  sync.WaitGroup

	mu    sync.Mutex
	ended bool
	all   map[uploadKey]*upload
	cuts  []*upload // the one cut off longest ago first
}

func newUploads(blobs store.Blobs) *uploads {
	t := &uploads{blobs: blobs, all: map[uploadKey]*upload{}}
	t.ctx, t.end = context.WithCancel(context.Background())
	return t
}

// hold is one call's right to write to an upload, until another call takes it.
type hold struct {
	of  *uploads
	u   *upload
	gen int
}

// attach gives the call of a client on a connection the upload that it begins at
// offset 0, or goes on with from where it was cut off.
func (t *uploads) attach(ctx context.Context, key uploadKey, peer string, offset int64) (*hold, error) {
	if offset == 0 {
		return t.begin(key, peer)
	}
	h, err := t.take(key, peer)
	if err != nil {
		return nil, err
	}
	// A call that was writing when it lost the upload may be at it yet.
	select {
	case h.u.turn <- struct{}{}:
		<-h.u.turn
	case <-ctx.Done():
		t.release(h)
		return nil, ctx.Err()
	}
	if is := h.u.committed.Load(); is != offset {
		t.release(h)
		return nil, fault.Errorf(codes.Aborted, "write_offset %d, but %d bytes are here: ask QueryWriteStatus", offset, is)
	}
	return h, nil
}

func (t *uploads) begin(key uploadKey, peer string) (*hold, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return nil, errEnding
	}
	if old, ok := t.all[key]; ok {
		t.drop(old, errTaken)
	}
	if len(t.all) >= maxUploads {
		t.drop(t.idlest(), errCrowded)
	}
	r, w := io.Pipe()
	u := &upload{key: key, pipe: w, peer: peer, settled: make(chan struct{}), turn: make(chan struct{}, 1)}
	u.last.Store(time.Now().UnixNano())
	t.all[key] = u
	t.work.Go(func() {
		u.err = t.blobs.Put(t.ctx, key.name.Digest, r)
		close(u.settled)
		_ = r.CloseWithError(errSettled)
	})
	return &hold{of: t, u: u}, nil
}

// take attaches another call to an upload that is there.
func (t *uploads) take(key uploadKey, peer string) (*hold, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	u, ok := t.all[key]
	if !ok {
		return nil, fault.Errorf(codes.Aborted, "nothing of this upload is here: ask QueryWriteStatus")
	}
	t.uncut(u)
	u.gen++
	u.peer = peer
	return &hold{of: t, u: u, gen: u.gen}, nil
}

// idlest returns the upload, of the connection that has most, to which bytes
// came longest ago: so that a client who begins many loses its own.
func (t *uploads) idlest() *upload {
	of := map[string]int{}
	for _, u := range t.all {
		of[u.peer]++
	}
	var worst *upload
	for _, u := range t.all {
		if worst == nil || of[u.peer] > of[worst.peer] || of[u.peer] == of[worst.peer] && u.last.Load() < worst.last.Load() {
			worst = u
		}
	}
	return worst
}

// drop gives an upload up. t.mu is held.
func (t *uploads) drop(u *upload, why error) {
	t.uncut(u)
	u.gone = true
	delete(t.all, u.key)
	_ = u.pipe.CloseWithError(why) // wakes the store, and who writes
}

func (t *uploads) uncut(u *upload) {
	if u.cut == nil {
		return
	}
	u.cut.Stop()
	u.cut = nil
	for i, c := range t.cuts {
		if c == u {
			t.cuts = append(t.cuts[:i], t.cuts[i+1:]...)
			return
		}
	}
}

// release ends a call's hold: the upload can be gone on with.
func (t *uploads) release(h *hold) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if h.u.gone || h.gen != h.u.gen {
		return
	}
	h.u.peer = ""
	t.cuts = append(t.cuts, h.u)
	h.u.cut = time.AfterFunc(maxCutAge, func() { t.discard(h) })
	if len(t.cuts) > maxCut {
		t.drop(t.cuts[0], errDropped)
	}
}

// discard gives an upload up that this call holds, or was the last to hold.
func (t *uploads) discard(h *hold) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !h.u.gone && h.gen == h.u.gen {
		t.drop(h.u, errDropped)
	}
}

// status returns how many bytes of an upload are here.
func (t *uploads) status(key uploadKey) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if u, ok := t.all[key]; ok {
		return u.committed.Load()
	}
	return 0
}

// close gives all up and waits for the store.
func (t *uploads) close() {
	t.mu.Lock()
	t.ended = true
	for _, u := range t.all {
		t.drop(u, errEnding)
	}
	t.mu.Unlock()
	t.end()
	t.work.Wait()
}

func (h *hold) lost() error {
	h.of.mu.Lock()
	defer h.of.mu.Unlock()
	if !h.u.gone && h.gen != h.u.gen {
		return errTaken
	}
	return nil
}

// Write implements io.Writer. It returns errSettled when the store needs no
// more: the blob is there, or cannot be kept.
func (h *hold) Write(p []byte) (int, error) {
	h.u.turn <- struct{}{}
	defer func() { <-h.u.turn }()
	if err := h.lost(); err != nil {
		return 0, err
	}
	if size := h.u.key.name.Digest.Size(); int64(len(p)) > size-h.u.committed.Load() {
		return 0, fmt.Errorf("more than %d bytes: %w", size, store.ErrMismatch)
	}
	n, err := h.u.pipe.Write(p)
	h.u.committed.Add(int64(n))
	h.u.last.Store(time.Now().UnixNano())
	return n, err
}

// finish says that there is no more, and returns whether the store has kept it.
func (h *hold) finish() error {
	if err := h.lost(); err != nil {
		return err
	}
	_ = h.u.pipe.Close() // never fails
	return h.settle()
}

// settle waits for the store and forgets the upload.
func (h *hold) settle() error {
	<-h.u.settled
	h.of.discard(h)
	return h.u.err
}

func (h *hold) digest() digest.Digest { return h.u.key.name.Digest }
