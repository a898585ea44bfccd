//go:build lab && linux

package peers

import (
	"crypto/sha256"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// file is one of a tree: what is in it, and since when.
type file struct {
	sum  [sha256.Size]byte
	at   time.Time
	mode fs.FileMode
}

// tree are the files below a directory by their paths, without the records that
// ninja keeps of when it ran what.
func tree(tb testing.TB, dir string) map[string]file {
	tb.Helper()
	files := map[string]file{}
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.HasPrefix(e.Name(), ".ninja_") {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		f := file{at: info.ModTime(), mode: info.Mode()}
		if info.Mode().IsRegular() {
			content, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			f.sum = sha256.Sum256(content)
		}
		rel, _ := filepath.Rel(dir, p)
		files[rel] = f
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return files
}

// same checks that two trees hold the same files, byte for byte.
func same(tb testing.TB, got, want map[string]file) {
	tb.Helper()
	for _, p := range slices.Sorted(maps.Keys(want)) {
		g, ok := got[p]
		switch {
		case !ok:
			tb.Errorf("%s is missing", p)
		case g.sum != want[p].sum:
			tb.Errorf("%s differs from a plain build's", p)
		case g.mode != want[p].mode:
			tb.Errorf("%s has the mode %v, after a plain build %v", p, g.mode, want[p].mode)
		}
	}
	for _, p := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[p]; !ok {
			tb.Errorf("a plain build makes no %s", p)
		}
	}
}

// made are the files of a tree that were not there before, or are newer now, by
// their paths, sorted.
func made(before, after map[string]file) (paths []string) {
	for p, f := range after {
		if was, ok := before[p]; !ok || !was.at.Equal(f.at) {
			paths = append(paths, p)
		}
	}
	slices.Sort(paths)
	return paths
}
