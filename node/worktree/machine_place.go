package worktree

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
)

// maxSwept bounds the directories that are known to have been swept.
const maxSwept = 100_000

// staged is a file that is whole, under another name beside its place.
type staged struct{ temp, place string }

// Place puts files where outs says, from the root, as a command would that makes
// them just now: each is whole from the moment at which it is there, has the time
// of its writing, and the permissions that the umask leaves it; nil is that of this
// process. They come in the order of outs, once all of them are whole: who sees the
// last one sees all. Their directories are there, and may be links.
func (m *Machine) Place(ctx context.Context, outs []action.Output, umask *fs.FileMode) error {
	all := make([]staged, 0, len(outs))
	defer func() {
		for _, s := range all {
			_ = os.Remove(s.temp) // what is in its place has this name no more
		}
	}()
	for _, o := range outs {
		s, err := m.stage(ctx, o, umask)
		if err != nil {
			return fmt.Errorf("write /%s: %w", o.Path, advise(err))
		}
		all = append(all, s)
	}
	for len(all) > 0 {
		if err := os.Rename(all[0].temp, all[0].place); err != nil {
			return fmt.Errorf("write %s: %w", all[0].place, advise(err))
		}
		all = all[1:]
	}
	return nil
}

// stage writes a file beside its place.
func (m *Machine) stage(ctx context.Context, o action.Output, umask *fs.FileMode) (staged, error) {
	if o.Kind != action.File {
		return staged{}, errors.New("it is not a file")
	}
	p := native("/" + o.Path)
	dir := filepath.Dir(p)
	m.sweep(dir)
	s := staged{filepath.Join(dir, tempName()), p}
	mode := fs.FileMode(modeOf(identityOf(o)))
	f, err := os.OpenFile(s.temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return staged{}, err
	}
	err = m.fill(ctx, f, o)
	if err == nil && umask != nil && *umask != ownUmask {
		err = f.Chmod(mode &^ *umask)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return staged{}, errors.Join(err, os.Remove(s.temp))
	}
	return s, nil
}

// fill copies a blob, which a disk may have changed since the store checked it.
func (m *Machine) fill(ctx context.Context, to *os.File, o action.Output) error {
	r, err := m.t.blobs.Open(ctx, o.Digest)
	if err != nil {
		return err
	}
	defer r.Close()
	got, err := copyHashed(ctx, to, r, o.Digest)
	if err == nil && got != o.Digest {
		_ = store.Recheck(ctx, m.t.blobs, o.Digest) // what it found is known
		err = fmt.Errorf("blob %v: %w", o.Digest, store.ErrCorrupt)
	}
	return err
}

// sweep removes what writers have left in a directory that died in the middle, once.
func (m *Machine) sweep(dir string) {
	m.mu.Lock()
	known := m.swept[dir]
	if len(m.swept) < maxSwept {
		m.swept[dir] = true
	}
	m.mu.Unlock()
	if known {
		return
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // what is written there next tells what is wrong
	}
	now := time.Now()
	for _, e := range entries {
		if !isTemp(e.Name()) {
			continue
		}
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && abandoned(e.Name(), info.ModTime(), now) {
			_ = os.Remove(filepath.Join(dir, e.Name())) // another one may have been faster
		}
	}
}
