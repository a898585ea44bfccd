package worktree

import (
	"bytes"
	"context"
	"io"
)

// Open implements Files.
func (r *remote) Open(ctx context.Context, path string) (Source, error) {
	a, err := r.finish(ctx, &request{Op: opOpen, Path: path})
	if err != nil {
		return nil, err
	}
	f := &remoteSource{r: r, ctx: ctx, stat: a.Stat}
	f.take(a)
	return f, nil
}

// finish is a call that is not left half-way: what it opens at the other end
// would stay open. It is one short operation.
func (r *remote) finish(ctx context.Context, q *request) (*response, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return r.call(context.WithoutCancel(ctx), q)
}

// remoteSource reads a file whose small content came with the answer to Open.
type remoteSource struct {
	r *remote
	// ctx is Open's: an io.Reader has none.
	ctx         context.Context
	stat, after Stat
	handle      uint64
	next        bytes.Reader
	eof         bool
}

func (f *remoteSource) take(a *response) {
	f.next.Reset(a.body)
	f.eof, f.after = a.EOF, a.After
	if a.Handle != 0 {
		f.handle = a.Handle
	}
}

// Stat implements Source.
func (f *remoteSource) Stat() Stat { return f.stat }

// Read implements io.Reader.
func (f *remoteSource) Read(p []byte) (int, error) {
	for f.next.Len() == 0 {
		if f.eof {
			return 0, io.EOF
		}
		a, err := f.r.finish(f.ctx, &request{Op: opRead, Handle: f.handle})
		if err != nil {
			return 0, err
		}
		f.take(a)
	}
	return f.next.Read(p)
}

// Close implements Source.
func (f *remoteSource) Close() (Stat, error) {
	if f.eof {
		return f.after, nil
	}
	a, err := f.r.call(context.WithoutCancel(f.ctx), &request{Op: opClose, Handle: f.handle})
	if err != nil {
		return Stat{}, err
	}
	return a.After, nil
}

// Create implements Files. Nothing is asked of the other end before there is
// more than one chunk, or the whole.
func (r *remote) Create(ctx context.Context, path string, mode Mode) (Temp, error) {
	return &remoteTemp{r: r, ctx: ctx, path: path, mode: mode}, nil
}

type remoteTemp struct {
	r *remote
	// ctx is Create's: an io.Writer has none.
	ctx    context.Context
	path   string
	mode   Mode
	buf    []byte
	handle uint64
	done   bool
}

// Write implements io.Writer.
func (t *remoteTemp) Write(p []byte) (int, error) {
	n := len(p)
	for len(t.buf)+len(p) > chunk {
		fits := chunk - len(t.buf)
		t.buf = append(t.buf, p[:fits]...)
		p = p[fits:]
		if err := t.flush(); err != nil {
			return n - len(p), err
		}
	}
	t.buf = append(t.buf, p...)
	return n, nil
}

func (t *remoteTemp) flush() error {
	if t.handle == 0 {
		a, err := t.r.finish(t.ctx, &request{Op: opCreate, Path: t.path, Mode: t.mode})
		if err != nil {
			return err
		}
		t.handle = a.Handle
	}
	_, err := t.r.finish(t.ctx, &request{Op: opWrite, Handle: t.handle, body: t.buf})
	t.buf = t.buf[:0]
	return err
}

// Commit implements Temp.
func (t *remoteTemp) Commit() (Stat, error) {
	t.done = true
	q := &request{Op: opPut, Path: t.path, Mode: t.mode, body: t.buf}
	if t.handle != 0 {
		q = &request{Op: opCommit, Handle: t.handle, body: t.buf}
	}
	return t.r.stat(t.ctx, q)
}

// Abort implements Temp.
func (t *remoteTemp) Abort() {
	if t.done || t.handle == 0 {
		return
	}
	t.done = true
	_, _ = t.r.call(context.WithoutCancel(t.ctx), &request{Op: opAbort, Handle: t.handle})
}
