//go:build !linux && !darwin

package worktree

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// topOf has nothing to return: here a tree is read and written through its root.
func topOf(*os.Root) (int, *os.File, error) { return -1, nil, nil }

// openBelow leaves it to os.Root.
func (l *local) openBelow(string) Source { return nil }

// Create implements Files.
func (l *local) Create(_ context.Context, p string, mode Mode) (Temp, error) {
	d, name, err := l.dir(p)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", p, err)
	}
	t := &localTemp{l: l, dir: d, name: name, path: p, temp: tempName()}
	if t.f, err = d.OpenFile(t.temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, os.FileMode(mode)); err != nil {
		_ = d.Close()
		return nil, fmt.Errorf("write %s: %w", p, err)
	}
	return t, nil
}

type localTemp struct {
	l                *local
	dir              *os.Root
	f                *os.File
	name, path, temp string
	done             bool
}

// Write implements io.Writer.
func (t *localTemp) Write(p []byte) (int, error) { return t.f.Write(p) }

// Commit implements Temp.
func (t *localTemp) Commit() (Stat, error) {
	err := t.f.Close()
	before := time.Now().Add(-settle)
	err = errors.Join(err, t.dir.Chtimes(t.temp, before, before))
	if err == nil {
		err = t.dir.Rename(t.temp, t.name)
	}
	if err != nil {
		t.Abort()
		return Stat{}, fmt.Errorf("write %s: %w", t.path, err)
	}
	defer t.close()
	return lstat(t.dir, t.name)
}

// Abort implements Temp.
func (t *localTemp) Abort() {
	if t.done {
		return
	}
	t.f.Close()
	_ = t.dir.Remove(t.temp)
	t.close()
}

func (t *localTemp) close() {
	t.done = true
	_ = t.dir.Close()
}
