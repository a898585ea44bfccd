package remote

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"time"

	"github.com/buildnet/buildnet/node/compile"
	"github.com/buildnet/buildnet/node/compile/remote/link"
)

const (
	// maxHeld bounds the files of which is known what a linker finds in them.
	maxHeld = 200_000
	// maxScript bounds a linker script, and maxThin the heads of a thin archive,
	// in bytes.
	maxScript = 4 << 20
	maxThin   = 64 << 20
	// young is how near to now a change may be for its time not to tell it from
	// another one yet.
	young = 100 * time.Millisecond
)

// held is what a linker finds in a file, as long as that is the same.
type held struct {
	size    int64
	mtime   time.Time
	info    os.FileInfo
	deep    bool
	content link.Content
}

// linked are the files of this machine as links see them.
type linked struct{ d *Desk }

// At implements link.Files.
func (l linked) At(p string) link.At {
	dir, name := path.Split(p)
	if name == "" || name == "." || name == ".." {
		dir, name = p, ""
	}
	w, err := l.d.real(dir)
	if err != nil {
		return link.At{}
	}
	at := link.At{Parent: w.path, Links: w.links, Left: w.left}
	for range maxLinks {
		if name == "" {
			at.Real, at.Dir, at.There = w.path, true, true
			return at
		}
		at.Real = path.Join(w.path, name)
		info, err := os.Lstat(at.Real)
		switch {
		case err != nil:
			return link.At{}
		case info.Mode()&os.ModeSymlink == 0:
			at.Dir, at.There = info.IsDir(), info.IsDir() || info.Mode().IsRegular()
			return at
		}
		if w, name, err = l.through(&at, w, name); err != nil {
			return link.At{}
		}
	}
	return link.At{}
}

// through follows a link from a directory to what it leads to: a name in another.
func (l linked) through(at *link.At, from *way, name string) (*way, string, error) {
	p := path.Join(from.path, name)
	target, err := os.Readlink(p)
	if err != nil {
		return nil, "", err
	}
	at.Links = append(at.Links[:len(at.Links):len(at.Links)], compile.Reference{Path: p, Target: target})
	dir, name := path.Split(abs(from.path, target))
	if name == "" || name == "." || name == ".." {
		dir, name = abs(from.path, target), ""
	}
	to, err := l.d.real(dir)
	if err != nil {
		return nil, "", err
	}
	at.Links = append(at.Links, to.links...)
	at.Left = append(at.Left[:len(at.Left):len(at.Left)], to.left...)
	return to, name, nil
}

// Holds implements link.Files.
func (l linked) Holds(file string, deep bool) (link.Content, error) {
	info, err := os.Stat(file)
	if err != nil {
		return link.Content{}, err
	}
	h, known := l.d.held[file]
	if known && h.deep == deep && h.size == info.Size() && h.mtime.Equal(info.ModTime()) && os.SameFile(h.info, info) {
		return h.content, nil
	}
	h = held{size: info.Size(), mtime: info.ModTime(), info: info, deep: deep}
	if h.content, err = contentOf(file, deep); err != nil {
		return link.Content{}, err
	}
	if time.Since(h.mtime) > young && len(l.d.held) < maxHeld {
		l.d.held[file] = h
	}
	return h.content, nil
}

// headBytes is how much of a file tells its kind.
const headBytes = 4 << 10

// contentOf looks into a file.
func contentOf(p string, deep bool) (link.Content, error) {
	f, err := os.Open(p)
	if err != nil {
		return link.Content{}, err
	}
	defer f.Close()
	head := make([]byte, headBytes)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return link.Content{}, err
	}
	head = head[:n]
	c := link.Content{Kind: link.Of(head)}
	switch {
	case c.Kind == link.Shared:
		return c, needs(f, &c)
	case c.Kind == link.Thin:
		whole, err := rest(f, head, maxThin)
		if err != nil {
			return c, err
		}
		c.Members, err = link.Members(whole)
		return c, err
	case c.Kind == link.Script:
		whole, err := rest(f, head, maxScript)
		c.Text = string(whole)
		return c, err
	case c.Kind == link.Object && deep:
		c.Names, err = mentions(io.MultiReader(bytes.NewReader(head), f), []byte(".deplibs"))
		return c, err
	}
	return c, nil
}

// rest reads what is behind the head of a file.
func rest(f io.Reader, head []byte, limit int64) ([]byte, error) {
	more, err := io.ReadAll(io.LimitReader(f, limit))
	if err == nil && int64(len(more)) == limit {
		err = fmt.Errorf("it is larger than %d bytes, and names other files", limit)
	}
	return append(head, more...), err
}

// needs reads what a shared library says of others.
func needs(f io.ReaderAt, c *link.Content) error {
	e, err := elf.NewFile(f)
	if err != nil {
		return err
	}
	if c.Needed, err = e.DynString(elf.DT_NEEDED); err != nil {
		return err
	}
	for _, tag := range []elf.DynTag{elf.DT_RPATH, elf.DT_RUNPATH} {
		list, err := e.DynString(tag)
		if err != nil {
			return err
		}
		c.Runtime = append(c.Runtime, list...)
	}
	return nil
}

// mentions reports whether a word is in a file.
func mentions(f io.Reader, word []byte) (bool, error) {
	block := make([]byte, 256<<10)
	kept := 0
	for {
		n, err := f.Read(block[kept:])
		if bytes.Contains(block[:kept+n], word) {
			return true, nil
		}
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		tail := block[max(0, kept+n-len(word)+1) : kept+n]
		kept = copy(block, tail)
	}
}
