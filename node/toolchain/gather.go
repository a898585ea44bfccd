package toolchain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/buildnet/buildnet/store/digest"
)

// maxFiles bounds what one digest is of: three times a large distribution's
// headers.
const maxFiles = 300_000

// gathering collects what a digest is of. Every line of it goes into the
// digest, in sorted order; facts say when it has to be made anew.
type gathering struct {
	p *Prober
	// ended says why the one who asked wants no answer any more.
	ended func() error
	lines []string
	facts map[string]fact
	done  map[string]bool // programs, directories and drivers, against going round
	asks
}

func newGathering(ctx context.Context, p *Prober) *gathering {
	return &gathering{ended: ctx.Err, p: p, facts: map[string]fact{}, done: map[string]bool{}, asks: newAsks(p.opts.Path)}
}

func (g *gathering) record() *record {
	slices.Sort(g.lines)
	text := strings.Join(slices.Compact(g.lines), "\n")
	r := &record{Digest: digest.Of(digest.BLAKE3, []byte(text)).String(), Mounts: mounts()}
	for _, f := range g.facts {
		r.Facts = append(r.Facts, f)
	}
	slices.SortFunc(r.Facts, func(a, b fact) int { return strings.Compare(a.Path, b.Path) })
	return r
}

// text adds something that is not in a file. Quoting keeps a value from
// looking like other lines.
func (g *gathering) text(label, value string) {
	g.lines = append(g.lines, fmt.Sprintf("text %q %q", label, value))
}

// first reports whether something is met for the first time.
func (g *gathering) first(kind, what string) bool {
	key := kind + " " + what
	if g.done[key] {
		return false
	}
	g.done[key] = true
	return true
}

// fact notes that the digest depends on what p is, without its content.
func (g *gathering) fact(p string, w watch) (stat, bool) {
	old, ok := g.facts[p]
	if ok {
		old.Watch = max(old.Watch, w)
		g.facts[p] = old
		return old.Stat, old.Stat != stat{}
	}
	st, there := statOf(p)
	g.facts[p] = fact{Path: p, Stat: st, Watch: w}
	return st, there
}

var errTooMany = errors.New("too many files")

// file adds a file: the links that lead to it, and its content. It returns
// where they lead.
func (g *gathering) file(p string, w watch) (target string, err error) {
	target, err = filepath.EvalSymlinks(p)
	if err != nil {
		return "", err
	}
	g.links(p, w)
	hash, err := g.hash(target, w)
	if err != nil {
		return "", err
	}
	g.lines = append(g.lines, fmt.Sprintf("file %q %q %s", p, target, hash))
	return target, nil
}

// maxLinks is the kernel's limit of links on a path.
const maxLinks = 40

// links notes every link on the way from p: any of them can be turned.
func (g *gathering) links(p string, w watch) {
	for range maxLinks {
		g.fact(p, w)
		target, err := os.Readlink(p)
		if err != nil {
			return
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(p), target)
		}
		p = filepath.Clean(target)
	}
}

// hash returns the hash of a regular file, read only if it changed since it
// was last read.
func (g *gathering) hash(p string, w watch) (string, error) {
	if f := g.facts[p]; f.Hash != "" {
		g.fact(p, w)
		return f.Hash, nil
	}
	if err := g.ended(); err != nil {
		return "", err
	}
	st, there := g.fact(p, w)
	if !there {
		return "", &fs.PathError{Op: "stat", Path: p, Err: fs.ErrNotExist}
	}
	if len(g.facts) > maxFiles {
		return "", fmt.Errorf("%w: more than %d", errTooMany, maxFiles)
	}
	g.p.mu.Lock()
	known, ok := g.p.hashes[p]
	g.p.mu.Unlock()
	hash := known.Hash
	if !ok || known.Stat != st {
		var err error
		if hash, err = hashFile(p); err != nil {
			return "", err
		}
	}
	f := g.facts[p]
	f.Hash = hash
	g.facts[p] = f
	return hash, nil
}

func hashFile(p string) (string, error) {
	f, err := os.Open(p)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", &fs.PathError{Op: "read", Path: p, Err: errors.ErrUnsupported}
	}
	h := digest.NewHasher(digest.BLAKE3)
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return h.Sum().Hex(), nil
}

// tree adds everything below a directory, which need not be there. What no
// ordinary user may read, no action can.
func (g *gathering) tree(dir string) error {
	if !g.first("tree", dir) {
		return nil
	}
	if _, there := g.fact(dir, often); !there {
		return nil
	}
	if target, err := filepath.EvalSymlinks(dir); err == nil && target != dir {
		g.lines = append(g.lines, fmt.Sprintf("link %q %q", dir, target))
		return g.tree(target)
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	g.lines = append(g.lines, fmt.Sprintf("dir %q", dir))
	for _, e := range entries {
		if err := g.treeEntry(filepath.Join(dir, e.Name()), e.Type()); err != nil {
			return err
		}
	}
	return nil
}

func (g *gathering) treeEntry(p string, kind fs.FileMode) error {
	switch {
	case kind.IsDir():
		return g.tree(p)
	case kind.IsRegular():
		hash, err := g.hash(p, seldom)
		if errors.Is(err, fs.ErrPermission) {
			return nil
		}
		if err != nil {
			return err
		}
		g.lines = append(g.lines, fmt.Sprintf("file %q %s %v", p, hash, g.facts[p].Stat.Mode&0o111 != 0))
	case kind&fs.ModeSymlink != 0:
		return g.treeLink(p)
	}
	return nil
}

// treeLink adds a link, and the file that it leads to: that may lie elsewhere.
func (g *gathering) treeLink(p string) error {
	g.links(p, seldom)
	target, err := os.Readlink(p)
	if err != nil {
		return err
	}
	g.lines = append(g.lines, fmt.Sprintf("link %q %q", p, target))
	end, err := filepath.EvalSymlinks(p)
	if err != nil {
		return nil //nolint:nilerr // a link that leads nowhere is one
	}
	info, err := os.Stat(end)
	switch {
	case err != nil:
		return nil //nolint:nilerr // as above
	case info.IsDir():
		return g.tree(end)
	case !info.Mode().IsRegular():
		return nil
	}
	return g.treeEntry(end, info.Mode().Type())
}
