package toolchain

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// quiet is how long the watch lets changes go on before it looks at what they
// changed: an upgrade of packages changes thousands of files.
const quiet = 2 * time.Second

// Run watches the directories of known toolchains until ctx ends, so that Fresh
// need not look at them. Without it, or where the system refuses so many
// watches, Fresh looks.
func (p *Prober) Run(ctx context.Context) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		p.opts.Log.Warn("toolchains are not watched; each check looks at all their directories", "error", err)
		<-ctx.Done()
		return nil
	}
	defer func() { _ = w.Close() }()
	p.turned()
	defer p.unwatched()
	p.watchMarks(w)
	dirs := map[string]bool{}
	timer := time.NewTimer(0)
	defer timer.Stop()
	idle := time.NewTimer(0)
	defer idle.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.news:
			timer.Reset(0)
		case <-p.taken:
			idle.Reset(p.idle)
		case now := <-idle.C:
			if p.loosenUnused(now) {
				idle.Reset(p.idle)
			}
		case e := <-w.Events:
			if p.opts.Marks != "" && filepath.Dir(e.Name) == p.opts.Marks {
				p.seen(e.Name)
				continue
			}
			if e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename) {
				delete(dirs, e.Name) // its watch is gone with it
			}
			p.turned()
			timer.Reset(quiet)
		case err := <-w.Errors: // such as an overflow: anything may have changed
			p.opts.Log.Debug("watch of toolchains lost events", "error", err)
			p.turned()
			timer.Reset(quiet)
		case <-timer.C:
			p.look(w, dirs)
		}
	}
}

// turned notes that something changed.
func (p *Prober) turned() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turn++
}

func (p *Prober) unwatched() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turn = 0
	for _, e := range p.entries {
		e.turn = 0
		p.loosen(e)
	}
}

// least returns which facts of s must be looked at now. While nothing that is
// watched has changed since all of s was seen to hold, its programs are enough, and
// needed: an event may be on its way. After a change it is everything.
func (p *Prober) least(s Spec) watch {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.entries[s]
	switch {
	case p.turn == 0:
		return often
	case e != nil && e.turn == p.turn:
		return always
	default:
		return seldom
	}
}

// look watches the directories of every known toolchain and then sees which of
// these hold: what changes after that is an event.
func (p *Prober) look(w *fsnotify.Watcher, dirs map[string]bool) {
	p.mu.Lock()
	turn := p.turn
	entries := maps.Clone(p.entries)
	p.mu.Unlock()
	for s, e := range entries {
		if e.turn == turn {
			continue
		}
		if err := watchAll(w, dirs, e.record); err != nil {
			p.opts.Log.Debug("toolchain is not watched", "toolchain", s.Spec, "error", err)
			continue
		}
		if !e.record.holds() {
			continue // the next Digest looks at it anew
		}
		p.mu.Lock()
		if p.entries[s] == e {
			e.turn = turn
		}
		p.mu.Unlock()
	}
}

// watchAll watches the directories that the files of a record lie in, or would.
func watchAll(w *fsnotify.Watcher, dirs map[string]bool, r *record) error {
	for _, f := range r.Facts {
		dir := filepath.Dir(f.Path)
		for !dirs[dir] {
			info, err := os.Stat(dir)
			if err == nil && info.IsDir() {
				if err := w.Add(dir); err != nil {
					return fmt.Errorf("watch %s: %w", dir, err)
				}
				dirs[dir] = true
				break
			}
			dir = filepath.Dir(dir) // where it would appear
		}
	}
	return nil
}
