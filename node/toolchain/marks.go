package toolchain

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/fsnotify/fsnotify"
)

// markWait is how long it may take to be told of a file that was made; then every
// file of the toolchain is looked at.
const markWait = 500 * time.Millisecond

// watchMarks watches the directory of marks, if there is one.
func (p *Prober) watchMarks(w *fsnotify.Watcher) {
	if p.opts.Marks == "" {
		return
	}
	_ = os.RemoveAll(p.opts.Marks) // of a process that was killed
	err := os.MkdirAll(p.opts.Marks, 0o700)
	if err == nil {
		err = w.Add(p.opts.Marks)
	}
	if err != nil {
		p.opts.Log.Warn("each build looks at all files of its toolchains", "error", err)
	}
}

// unchanged returns the record of s if it is watched, and nothing of it has
// changed until this call.
func (p *Prober) unchanged(ctx context.Context, s Spec) *record {
	p.mu.Lock()
	e := p.entries[s]
	watched := e != nil && p.turn != 0 && e.turn == p.turn
	p.mu.Unlock()
	if !watched || !p.told(ctx) {
		return nil
	}
	if now, reads := mountsRead(); e.record.Mounts != now || !p.fresh(s, e.record, reads) {
		return nil
	}
	return e.record
}

// told returns when Run was told of all that has changed before: the kernel tells
// of changes in their order, and here is one more. It reports whether it was.
func (p *Prober) told(ctx context.Context) bool {
	if p.opts.Marks == "" {
		return false
	}
	seen := make(chan struct{})
	p.mu.Lock()
	p.marked++
	mark := filepath.Join(p.opts.Marks, strconv.FormatUint(p.marked, 10))
	p.marks[mark] = seen
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.marks, mark)
	}()
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		return false // Run has said why
	}
	defer func() { _ = os.Remove(mark) }()
	late := time.NewTimer(markWait)
	defer late.Stop()
	select {
	case <-seen:
		return true
	case <-late.C:
		return false
	case <-ctx.Done():
		return false
	}
}

// seen notes that Run was told of a mark.
func (p *Prober) seen(mark string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c, ok := p.marks[mark]; ok {
		delete(p.marks, mark)
		close(c)
	}
}
