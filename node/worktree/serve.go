package worktree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
)

const (
	// maxRequests bounds the requests that are served at once on a stream.
	maxRequests = 64
	// maxHandles bounds the files that a stream has open.
	maxHandles = 256
)

// server serves one stream.
type server struct {
	files Files
	link  *link

	mu      sync.Mutex
	last    uint64 // handle
	sources map[uint64]Source
	temps   map[uint64]Temp
	cancels map[uint64]context.CancelFunc
}

// Serve gives the node at the other end of conn the use of files, until the
// node closes the stream or ctx ends. What was being written then is removed.
func Serve(ctx context.Context, conn io.ReadWriteCloser, files Files) error {
	s := &server{
		files: files, link: newLink(conn),
		sources: map[uint64]Source{}, temps: map[uint64]Temp{}, cancels: map[uint64]context.CancelFunc{},
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	var served sync.WaitGroup
	err := s.loop(ctx, &served)
	ended := ctx.Err()
	cancel()
	stop()
	conn.Close()
	served.Wait()
	s.release()
	if ended != nil {
		return ended
	}
	if err != nil {
		return fmt.Errorf("serve the files of %s: %w", files.Root(), err)
	}
	return nil
}

func (s *server) loop(ctx context.Context, served *sync.WaitGroup) error {
	slots := make(chan struct{}, maxRequests)
	for {
		var q request
		body, err := s.link.read(&q)
		if err == io.EOF { //nolint:errorlint // a wrapped one is an end within a frame
			return nil
		}
		if err != nil {
			return err
		}
		q.body = body
		if q.Op == opCancel {
			s.cancel(q.Handle)
			continue
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		callCtx := s.begin(ctx, q.ID)
		served.Go(func() {
			defer func() { <-slots }()
			defer s.cancel(q.ID)
			s.answer(callCtx, &q)
		})
	}
}

func (s *server) begin(ctx context.Context, id uint64) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancels[id] = cancel
	return ctx
}

func (s *server) cancel(id uint64) {
	s.mu.Lock()
	cancel := s.cancels[id]
	delete(s.cancels, id)
	s.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

// release closes what the node left open.
func (s *server) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.temps {
		t.Abort()
	}
	for _, f := range s.sources {
		_, _ = f.Close()
	}
}

// answer serves one request. An error of writing ends the stream's reading too.
func (s *server) answer(ctx context.Context, q *request) {
	a, err := s.do(ctx, q)
	if err != nil {
		a = &response{Err: failureOf(err)}
	}
	a.ID = q.ID
	if err := s.link.write(a, a.body); err != nil {
		_ = s.link.write(&response{ID: q.ID, Err: failureOf(err)}, nil)
	}
}

func (s *server) do(ctx context.Context, q *request) (*response, error) {
	switch q.Op {
	case opHello:
		return &response{Root: s.files.Root()}, nil
	case opList:
		return s.list(ctx, q)
	case opStat:
		stats, err := s.files.Stat(ctx, q.Paths)
		return &response{Stats: stats}, err
	case opOpen, opRead, opClose:
		return s.doSource(ctx, q)
	case opPut, opCreate, opWrite, opCommit, opAbort:
		return s.doTemp(ctx, q)
	case opLink:
		stat, err := s.files.Link(ctx, q.Path, q.Target)
		return &response{Stat: stat}, err
	case opChmod:
		stat, err := s.files.Chmod(ctx, q.Path, q.Mode.valid())
		return &response{Stat: stat}, err
	case opMkdir:
		return &response{}, s.files.Mkdir(ctx, q.Path)
	case opRemove:
		return &response{}, s.files.Remove(ctx, q.Path)
	case opHook:
		return s.hook(ctx, q)
	default:
		return nil, fmt.Errorf("%w: unknown operation %q", errFrame, q.Op)
	}
}

// valid returns m, or Plain for what is neither.
func (m Mode) valid() Mode {
	if m == Exec {
		return Exec
	}
	return Plain
}

func (s *server) hook(ctx context.Context, q *request) (*response, error) {
	if q.Hook == nil {
		return nil, fmt.Errorf("%w: no hook", errFrame)
	}
	result, err := s.files.RunHook(ctx, *q.Hook)
	return &response{Hook: &result, body: []byte(result.Output)}, err
}

// list answers with the page of entries that comes after a name.
func (s *server) list(ctx context.Context, q *request) (*response, error) {
	entries, err := s.files.List(ctx, q.Path)
	if err != nil {
		return nil, err
	}
	from, found := slices.BinarySearchFunc(entries, q.After, func(e Entry, name string) int { return strings.Compare(e.Name, name) })
	if found {
		from++
	}
	size := 0
	for i := from; i < len(entries); i++ {
		// JSON may write a byte as six.
		if size += 6*(len(entries[i].Name)+len(entries[i].Target)) + 200; size > pageBytes && i > from {
			return &response{Entries: entries[from:i], More: true}, nil
		}
	}
	return &response{Entries: entries[from:]}, nil
}

func (s *server) doSource(ctx context.Context, q *request) (*response, error) {
	if q.Op == opOpen {
		f, err := s.files.Open(ctx, q.Path)
		if err != nil {
			return nil, err
		}
		return s.readSource(f, 0, &response{Stat: f.Stat()})
	}
	s.mu.Lock()
	f, ok := s.sources[q.Handle]
	delete(s.sources, q.Handle)
	s.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("%w: no file %d is open", errFrame, q.Handle)
	}
	if q.Op == opClose {
		after, err := f.Close()
		return &response{After: after}, err
	}
	return s.readSource(f, q.Handle, &response{})
}

// readSource answers with the next bytes of a file, which is closed at its end
// and otherwise kept under a handle.
func (s *server) readSource(f Source, handle uint64, a *response) (*response, error) {
	buf := make([]byte, min(chunk, max(f.Stat().Size+1, 512)))
	n, err := io.ReadFull(f, buf)
	a.body = buf[:n]
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		a.EOF = true
		a.After, err = f.Close()
		return a, err
	case err != nil:
		_, closeErr := f.Close()
		return nil, errors.Join(err, closeErr)
	}
	if a.Handle, err = keepOpen(s, s.sources, handle, f); err != nil {
		_, closeErr := f.Close()
		return nil, errors.Join(err, closeErr)
	}
	return a, nil
}

// keepOpen keeps an open file under its handle, or under a new one if it is 0.
func keepOpen[F any](s *server, open map[uint64]F, handle uint64, f F) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sources)+len(s.temps) >= maxHandles {
		return 0, errors.New("too many open files on one stream")
	}
	if handle == 0 {
		s.last++
		handle = s.last
	}
	open[handle] = f
	return handle, nil
}

func (s *server) doTemp(ctx context.Context, q *request) (*response, error) {
	if q.Op == opPut || q.Op == opCreate {
		return s.create(ctx, q)
	}
	s.mu.Lock()
	t, ok := s.temps[q.Handle]
	delete(s.temps, q.Handle)
	s.mu.Unlock()
	switch {
	case !ok:
		return nil, fmt.Errorf("%w: no file %d is being written", errFrame, q.Handle)
	case q.Op == opAbort:
		t.Abort()
		return &response{}, nil
	case q.Op == opCommit:
		return commit(t, q.body)
	}
	if _, err := t.Write(q.body); err != nil {
		t.Abort()
		return nil, err
	}
	handle, err := keepOpen(s, s.temps, q.Handle, t)
	if err != nil {
		t.Abort()
	}
	return &response{Handle: handle}, err
}

func (s *server) create(ctx context.Context, q *request) (*response, error) {
	t, err := s.files.Create(ctx, q.Path, q.Mode.valid())
	if err != nil {
		return nil, err
	}
	if q.Op == opPut {
		return commit(t, q.body)
	}
	handle, err := keepOpen(s, s.temps, 0, t)
	if err != nil {
		t.Abort()
	}
	return &response{Handle: handle}, err
}

// commit writes the last bytes of a file and puts it into its place.
func commit(t Temp, body []byte) (*response, error) {
	defer t.Abort()
	if _, err := t.Write(body); err != nil {
		return nil, err
	}
	stat, err := t.Commit()
	return &response{Stat: stat}, err
}
