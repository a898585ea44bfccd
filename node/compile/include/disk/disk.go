// Package disk is the include scanner on real files: it serves them, and asks
// compilers what they alone know. Start reading at Inputs.
package disk

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/buildnet/buildnet/node/compile/include"
)

// young is for how long after a change another may leave the same time: the
// coarsest clock of a file system that matters here ticks each 10 ms, and some
// mounts are of another machine's clock.
const young = 100 * time.Millisecond

// Files is the file system as a scan sees it.
type Files struct{}

// Lstat says what is at a path.
func (Files) Lstat(p string) include.Stat {
	kind, stamp := lstat(p)
	stamp.Young = kind != include.None && time.Now().UnixNano()-max(stamp.MTime, stamp.CTime) < int64(young)
	st := include.Stat{Kind: kind, Stamp: stamp}
	if kind == include.Link {
		target, err := os.Readlink(p)
		if err != nil {
			return include.Stat{}
		}
		st.Target = target
	}
	return st
}

func kindOf(m os.FileMode) include.Kind {
	switch {
	case m.IsRegular():
		return include.File
	case m.IsDir():
		return include.Dir
	case m&os.ModeSymlink != 0:
		return include.Link
	default:
		return include.None
	}
}

// List names what is in a directory.
func (Files) List(dir string, limit int) ([]include.Entry, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := f.ReadDir(limit + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(entries) > limit {
		return nil, include.ErrMany
	}
	out := make([]include.Entry, len(entries))
	for i, e := range entries {
		out[i] = include.Entry{Name: e.Name(), Kind: kindOf(e.Type())}
	}
	return out, nil
}

// Read reads a file.
func (Files) Read(file string, limit int) ([]byte, error) {
	f, err := os.Open(filepath.Clean(file))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	b := make([]byte, 0, min(info.Size(), int64(limit))+1)
	for len(b) <= limit {
		n, err := f.Read(b[len(b):min(cap(b), limit+1)])
		b = b[:len(b)+n]
		if errors.Is(err, io.EOF) {
			return b, nil
		}
		if err != nil {
			return nil, err
		}
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
	}
	return b, nil
}
