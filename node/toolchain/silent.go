package toolchain

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// answerTime is how long a directory of programs may take to be looked through
	// before it is looked whether that gets on, for as long again.
	answerTime = 2 * time.Second
	// maxNamed bounds the places that are named.
	maxNamed = 5
)

// Silent returns paths that a look at programs would wait for now, as below a mount
// whose server is gone; none if all answer. It takes 4 s if any is. Each leaves a
// goroutine that waits until its path answers, as the kernel ends no such call.
func (p *Prober) Silent(ctx context.Context) []string { return silent(ctx, p.places(), disk{}) }

// files are what is looked at.
type files interface {
	Stat(p string) error
	List(dir string) []string // of the names in it
}

type disk struct{}

func (disk) Stat(p string) error {
	_, err := os.Stat(p)
	return err
}

func (disk) List(dir string) (names []string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// places are the directories of programs, and what is mounted below the system's.
func (p *Prober) places() []string {
	places := append(strings.Split(p.opts.Path, ":"), p.opts.Dirs...)
	system := []string{"usr", "etc", "opt", "lib", "var/lib"}
	for line := range strings.Lines(mounts()) {
		fields := strings.Fields(line)
		if len(fields) < 5 { // proc(5): the fifth is where it is mounted
			continue
		}
		for _, dir := range system {
			if strings.HasPrefix(fields[4]+"/", filepath.Join(p.opts.System, dir)+"/") {
				places = append(places, fields[4])
			}
		}
	}
	slices.Sort(places)
	return slices.Compact(places)
}

// silent walks all places at once, and returns where the walks stand that do not get on.
func silent(ctx context.Context, places []string, f files) (paths []string) {
	walks := make([]atomic.Pointer[string], len(places))
	for i, dir := range places {
		at := &walks[i]
		at.Store(&dir)
		go func() {
			defer at.Store(nil)
			if f.Stat(dir) != nil {
				return
			}
			for _, name := range f.List(dir) {
				p := filepath.Join(dir, name)
				at.Store(&p)
				_ = f.Stat(p) // that it answers is all
			}
		}()
	}
	var before []*string
	for range 2 {
		select {
		case <-time.After(answerTime):
		case <-ctx.Done():
			return nil
		}
		var now []*string
		for i := range walks {
			now = append(now, walks[i].Load())
		}
		if before == nil {
			before = now
			continue
		}
		for i, p := range now {
			if p != nil && p == before[i] && len(paths) < maxNamed {
				paths = append(paths, *p)
			}
		}
	}
	return paths
}
