package worktree

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store/digest"
)

// oneWay is a stream that says what it was given and listens to nothing.
type oneWay struct{ io.Reader }

func (oneWay) Write(p []byte) (int, error) { return len(p), nil }
func (oneWay) Close() error                { return nil }

func frames(t testing.TB, headers ...any) []byte {
	t.Helper()
	var buf bytes.Buffer
	for _, h := range headers {
		if err := newLink(readWriter{&buf, &buf}).write(h, []byte("body")); err != nil {
			t.Fatal(err)
		}
	}
	return buf.Bytes()
}

type readWriter struct {
	io.Reader
	io.Writer
}

// FuzzServe feeds the server what it likes: it must neither crash nor touch
// anything outside of the root.
func FuzzServe(f *testing.F) {
	f.Add(frames(f, request{ID: 1, Op: opHello}, request{ID: 2, Op: opList}, request{ID: 3, Op: opCancel, Handle: 2}))
	f.Add(frames(f, request{ID: 1, Op: opCreate, Path: "f"}, request{ID: 2, Op: opWrite, Handle: 1}, request{ID: 3, Op: opCommit, Handle: 1}))
	f.Add(frames(f, request{ID: 1, Op: opPut, Path: "../f", Mode: 0o7777}, request{ID: 2, Op: opLink, Path: "l", Target: ".."}))
	f.Add(frames(f, request{ID: 1, Op: opOpen, Path: "in"}, request{ID: 2, Op: opClose, Handle: 1}, request{Op: opStat, Paths: []string{"in", ".."}}))
	f.Add(frames(f, request{Op: opMkdir, Path: "d"}, request{Op: opChmod, Path: "in"}, request{Op: opRemove, Path: "in"}, request{Op: "?"}))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, input []byte) {
		if bytes.Contains(input, []byte("hook")) {
			t.Skip("hooks run what they are told")
		}
		outside := t.TempDir()
		root := filepath.Join(outside, "root")
		write(t, root, "in", "x")
		write(t, outside, "canary", "x")
		files, err := Local(root)
		if err != nil {
			t.Fatal(err)
		}
		defer files.Close()
		_ = Serve(context.Background(), oneWay{bytes.NewReader(input)}, files)
		if got, err := os.ReadDir(outside); err != nil || len(got) != 2 || read(t, outside, "canary") != "x" {
			t.Errorf("outside now holds %v, %v", got, err)
		}
	})
}

// FuzzDial answers a client's calls with anything.
func FuzzDial(f *testing.F) {
	f.Add(frames(f, response{ID: 1, Root: "/r"}, response{ID: 2, Entries: []Entry{{Name: "a"}}, More: true}, response{ID: 3}))
	f.Add(frames(f, response{ID: 1}, response{ID: 2, Err: &failure{Is: "not_exist", Text: "x"}}))
	f.Add(frames(f, response{ID: 1}, response{ID: 2}, response{ID: 3}, response{ID: 4}))
	f.Fuzz(func(_ *testing.T, input []byte) {
		files, err := Dial(context.Background(), &oneWay{bytes.NewReader(input)})
		if err != nil {
			return
		}
		defer files.Close()
		ctx := context.Background()
		_, _ = files.List(ctx, "")
		_, _ = files.Stat(ctx, []string{"a", "b"})
		if src, err := files.Open(ctx, "a"); err == nil {
			_, _ = io.Copy(io.Discard, src)
			_, _ = src.Close()
		}
		_ = put(ctx, files, "a")
		_, _ = files.RunHook(ctx, Hook{})
	})
}

func FuzzDecode(f *testing.F) {
	s := &seal{
		set: digest.Of(digest.BLAKE3, nil), items: map[string]identity{"p": {kind: Symlink, target: "t"}}, dirs: []string{"d"},
		state: State{Sources: []string{"p"}, Opaque: []byte("o"), Outputs: []action.Output{{Path: "p", Kind: action.Symlink, Target: "t"}}},
	}
	f.Add(s.encode())
	f.Add(appendRecord(nil, record{stat: Stat{Kind: Regular, Size: 1, Links: 2}, digest: digest.Of(digest.BLAKE3, nil), verified: 3, placed: true}))
	f.Fuzz(func(t *testing.T, value []byte) {
		if s, err := decodeSeal(value); err == nil {
			again, err := decodeSeal(s.encode())
			if err != nil || len(again.items) != len(s.items) || string(again.state.Opaque) != string(s.state.Opaque) {
				t.Errorf("%+v became %+v, %v", s, again, err)
			}
		}
		d := decoder{b: value}
		if r := d.record(); d.err == nil {
			d = decoder{b: appendRecord(nil, r)}
			if again := d.record(); d.err != nil || again != r {
				t.Errorf("%+v became %+v, %v", r, again, d.err)
			}
		}
	})
}

func TestFramesAreBounded(t *testing.T) {
	for name, lengths := range map[string][2]uint32{"header": {maxHeader + 1, 0}, "body": {2, maxBody + 1}} {
		b := binary.BigEndian.AppendUint32(nil, lengths[0])
		b = binary.BigEndian.AppendUint32(b, lengths[1])
		if _, err := newLink(oneWay{bytes.NewReader(b)}).read(&request{}); !errors.Is(err, errFrame) {
			t.Errorf("%s: %v", name, err)
		}
	}
	whole := frames(t, request{ID: 1})
	for n := 1; n < len(whole); n++ {
		if _, err := newLink(oneWay{bytes.NewReader(whole[:n])}).read(&request{}); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut after %d bytes: %v", n, err)
		}
	}
	if err := newLink(readWriter{nil, io.Discard}).write(request{}, make([]byte, maxBody+1)); err == nil {
		t.Error("wrote a body beyond the limit")
	}
}
