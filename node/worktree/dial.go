package worktree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
)

// errEnded says that whoever served the files is gone.
var errEnded = errors.New("the stream to the working tree has ended")

// remote is the Files at the other end of a stream.
type remote struct {
	conn io.ReadWriteCloser
	link *link
	root string
	done chan struct{} // closed when the reader has ended

	mu      sync.Mutex
	last    uint64
	pending map[uint64]chan *response
	err     error // why no answer comes any more
}

// Dial returns the files that are served at the other end of conn. The caller
// closes them, which closes conn. If ctx ends before Dial returns, conn is
// closed.
func Dial(ctx context.Context, conn io.ReadWriteCloser) (Files, error) {
	r := &remote{conn: conn, link: newLink(conn), done: make(chan struct{}), pending: map[uint64]chan *response{}}
	go r.receive() // ends when conn does; Close waits for it
	a, err := r.call(ctx, &request{Op: opHello})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("reach the working tree: %w", err), r.Close())
	}
	r.root = a.Root
	return r, nil
}

// receive hands each answer to its question.
func (r *remote) receive() {
	defer close(r.done)
	for {
		a := &response{}
		body, err := r.link.read(a)
		if err != nil {
			r.end(err)
			return
		}
		a.body = body
		r.mu.Lock()
		answer, ok := r.pending[a.ID]
		delete(r.pending, a.ID)
		r.mu.Unlock()
		if ok {
			answer <- a // there is room: one answer for one question
		}
	}
}

func (r *remote) end(err error) {
	if err == io.EOF { //nolint:errorlint // a wrapped one is an end within a frame
		err = nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = errors.Join(errEnded, err)
	for _, answer := range r.pending {
		close(answer)
	}
	clear(r.pending)
}

func (r *remote) call(ctx context.Context, q *request) (*response, error) {
	answer := make(chan *response, 1)
	if err := r.register(q, answer); err != nil {
		return nil, err
	}
	if err := r.link.write(q, q.body); err != nil {
		r.drop(q.ID)
		return nil, err
	}
	select {
	case a, ok := <-answer:
		switch {
		case !ok:
			return nil, r.ended()
		case a.Err != nil:
			return nil, a.Err
		}
		return a, nil
	case <-ctx.Done():
		r.drop(q.ID)
		_ = r.link.write(&request{Op: opCancel, Handle: q.ID}, nil)
		return nil, ctx.Err()
	}
}

func (r *remote) register(q *request, answer chan *response) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return r.err
	}
	r.last++
	q.ID = r.last
	r.pending[q.ID] = answer
	return nil
}

func (r *remote) drop(id uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.pending, id)
}

func (r *remote) ended() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Root implements Files.
func (r *remote) Root() string { return r.root }

// Close implements Files.
func (r *remote) Close() error {
	err := r.conn.Close()
	<-r.done
	return err
}

// List implements Files.
func (r *remote) List(ctx context.Context, dir string) ([]Entry, error) {
	var all []Entry
	after := ""
	for {
		a, err := r.call(ctx, &request{Op: opList, Path: dir, After: after})
		if err != nil {
			return nil, err
		}
		for _, e := range a.Entries {
			if e.Name <= after || strings.Contains(e.Name, "/") {
				return nil, fmt.Errorf("list %s: %w: name %q", dir, errFrame, e.Name)
			}
			after = e.Name
		}
		all = append(all, a.Entries...)
		if !a.More || len(a.Entries) == 0 {
			return all, nil
		}
		if len(all) > maxEntries {
			return nil, fmt.Errorf("list %s: more than %d entries", dir, maxEntries)
		}
	}
}

// Stat implements Files.
func (r *remote) Stat(ctx context.Context, paths []string) ([]Stat, error) {
	all := make([]Stat, 0, len(paths))
	for len(paths) > 0 {
		batch := paths[:min(len(paths), statBatch)]
		a, err := r.call(ctx, &request{Op: opStat, Paths: batch})
		if err != nil {
			return nil, err
		}
		if len(a.Stats) != len(batch) {
			return nil, fmt.Errorf("stat: %w: %d answers for %d", errFrame, len(a.Stats), len(batch))
		}
		all = append(all, a.Stats...)
		paths = paths[len(batch):]
	}
	return all, nil
}

// Link implements Files.
func (r *remote) Link(ctx context.Context, path, target string) (Stat, error) {
	return r.stat(ctx, &request{Op: opLink, Path: path, Target: target})
}

// Chmod implements Files.
func (r *remote) Chmod(ctx context.Context, path string, mode Mode) (Stat, error) {
	return r.stat(ctx, &request{Op: opChmod, Path: path, Mode: mode})
}

func (r *remote) stat(ctx context.Context, q *request) (Stat, error) {
	a, err := r.call(ctx, q)
	if err != nil {
		return Stat{}, err
	}
	return a.Stat, nil
}

// Mkdir implements Files.
func (r *remote) Mkdir(ctx context.Context, dir string) error {
	_, err := r.call(ctx, &request{Op: opMkdir, Path: dir})
	return err
}

// Remove implements Files.
func (r *remote) Remove(ctx context.Context, path string) error {
	_, err := r.call(ctx, &request{Op: opRemove, Path: path})
	return err
}

// RunHook implements Files.
func (r *remote) RunHook(ctx context.Context, h Hook) (HookResult, error) {
	a, err := r.call(ctx, &request{Op: opHook, Hook: &h})
	if err != nil {
		return HookResult{}, err
	}
	if a.Hook == nil {
		return HookResult{}, fmt.Errorf("run hook: %w", errFrame)
	}
	a.Hook.Output = string(a.body)
	return *a.Hook, nil
}
