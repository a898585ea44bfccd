package worktree

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
)

const (
	// chunk is how many bytes of a file one message carries.
	chunk = 256 << 10
	// maxHeader bounds the part of a message that is not a file's bytes.
	maxHeader = 8 << 20
	// maxBody bounds the bytes of a message: what a hook printed.
	maxBody = MaxHookOutput
	// pageBytes is about how long the header of a page of a listing gets.
	pageBytes = maxHeader / 2
	// statBatch is how many paths one message asks the stats of.
	statBatch = 512
)

// errFrame says that the other end does not speak this protocol.
var errFrame = errors.New("malformed message")

// A message is a header in JSON and raw bytes, with the lengths of both, as 4
// bytes big-endian each, before them. Protobuf would be no shorter where most
// of it is names and bytes, and this needs no generated code.

// op is what a request asks for.
type op string

const (
	opHello  op = "hello"
	opCancel op = "cancel"
	opList   op = "list"
	opStat   op = "stat"
	opOpen   op = "open"
	opRead   op = "read"
	opClose  op = "close"
	opPut    op = "put" // a whole small file
	opCreate op = "create"
	opWrite  op = "write"
	opCommit op = "commit"
	opAbort  op = "abort"
	opLink   op = "link"
	opChmod  op = "chmod"
	opMkdir  op = "mkdir"
	opRemove op = "remove"
	opHook   op = "hook"
)

type request struct {
	ID     uint64   `json:"id"`
	Op     op       `json:"op"`
	Path   string   `json:"path,omitempty"`
	Paths  []string `json:"paths,omitempty"`
	After  string   `json:"after,omitempty"`
	Target string   `json:"target,omitempty"`
	Mode   Mode     `json:"mode,omitempty"`
	Handle uint64   `json:"handle,omitempty"`
	Hook   *Hook    `json:"hook,omitempty"`

	body []byte
}

type response struct {
	ID      uint64      `json:"id"`
	Err     *failure    `json:"err,omitempty"`
	Root    string      `json:"root,omitempty"`
	Entries []Entry     `json:"entries,omitempty"`
	More    bool        `json:"more,omitempty"`
	Stats   []Stat      `json:"stats,omitempty"`
	Stat    Stat        `json:"stat,omitzero"`
	After   Stat        `json:"after,omitzero"`
	Handle  uint64      `json:"handle,omitempty"`
	EOF     bool        `json:"eof,omitempty"`
	Hook    *HookResult `json:"hook,omitempty"`

	body []byte
}

// failure is an error on its way; Is names the error that it matches.
type failure struct {
	Is   string `json:"is,omitempty"`
	Text string `json:"text"`
}

var matches = map[string]error{
	"not_exist": fs.ErrNotExist, "exist": fs.ErrExist, "permission": fs.ErrPermission, "blocked": ErrBlocked,
}

func failureOf(err error) *failure {
	f := &failure{Text: err.Error()}
	if notDirectory(err) {
		f.Is = "not_exist"
	}
	for name, e := range matches {
		if errors.Is(err, e) {
			f.Is = name
		}
	}
	return f
}

// Error implements error.
func (f *failure) Error() string { return f.Text }

// Unwrap returns what the error matches.
func (f *failure) Unwrap() error { return matches[f.Is] }

// link writes messages, one at a time, and reads them.
type link struct {
	r *bufio.Reader

	// mu is held over I/O: what it orders is the writing.
	mu sync.Mutex
	w  io.Writer
}

func newLink(conn io.ReadWriter) *link { return &link{r: bufio.NewReaderSize(conn, 64<<10), w: conn} }

func (l *link) write(header any, body []byte) error {
	head, err := json.Marshal(header)
	if err != nil {
		return fmt.Errorf("encode message: %w", err)
	}
	if len(head) > maxHeader || len(body) > maxBody {
		return fmt.Errorf("message of %d and %d bytes is too long", len(head), len(body))
	}
	frame := make([]byte, 0, 8+len(head)+len(body))
	frame = binary.BigEndian.AppendUint32(frame, uint32(len(head)))
	frame = binary.BigEndian.AppendUint32(frame, uint32(len(body)))
	frame = append(append(frame, head...), body...)
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := l.w.Write(frame); err != nil {
		return fmt.Errorf("write message: %w", err)
	}
	return nil
}

// read returns io.EOF itself at the end of the stream, between messages.
func (l *link) read(header any) (body []byte, err error) {
	var lengths [8]byte
	if _, err := io.ReadFull(l.r, lengths[:]); err == io.EOF {
		return nil, io.EOF
	} else if err != nil {
		return nil, fmt.Errorf("read message: %w", err)
	}
	head, rest := binary.BigEndian.Uint32(lengths[:4]), binary.BigEndian.Uint32(lengths[4:])
	if head > maxHeader || rest > maxBody {
		return nil, fmt.Errorf("%w of %d and %d bytes", errFrame, head, rest)
	}
	frame, err := readBytes(l.r, int(head)+int(rest))
	if err != nil {
		return nil, fmt.Errorf("read message: %w", err)
	}
	if err := json.Unmarshal(frame[:head], header); err != nil {
		return nil, fmt.Errorf("%w: %w", errFrame, err)
	}
	return frame[head:], nil
}

// readBytes allocates as the bytes come, not as they are announced.
func readBytes(r io.Reader, n int) ([]byte, error) {
	b := make([]byte, 0, min(n, chunk))
	for len(b) < n {
		from := len(b)
		b = append(b, make([]byte, min(n-from, chunk))...)
		if _, err := io.ReadFull(r, b[from:]); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	return b, nil
}
