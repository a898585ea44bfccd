package remote

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/buildnet/buildnet/node/compile/remote/manifest"
	"github.com/buildnet/buildnet/node/compile/remote/terms"
	"github.com/buildnet/buildnet/node/compile/remote/tree"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

// maxOutput bounds an output that is looked through, in bytes.
const maxOutput = 1 << 30

// move has a compile be the same in every checkout, if it is: else p.Bound says
// why not. It comes when it is known what is in the files.
func (d *Desk) move(ctx context.Context, r *Request, p *Prepared, t *terms.Terms) (*terms.Terms, error) {
	if r.Checkout == "" || p.at == nil {
		return t, nil
	}
	at, err := d.real(r.Checkout)
	if err != nil {
		p.Bound = fmt.Sprintf("the checkout: %v", err)
		return t, nil
	}
	m, why := t.Moved(p.at, at.path)
	if why != "" {
		p.Bound = why
		return t, nil
	}
	for _, f := range p.files {
		names, err := d.names(ctx, f.Digest, at.path)
		if err != nil {
			return nil, err
		}
		if names {
			p.Bound = f.Path + " names the checkout"
			return t, nil
		}
	}
	p.root = at.path
	return m, nil
}

// mention is a question about a file's content.
type mention struct {
	content digest.Digest
	root    string
}

// names reports whether a file's content names a directory.
func (d *Desk) names(ctx context.Context, content digest.Digest, root string) (bool, error) {
	q := mention{content, root}
	answer, known := d.mentions[q]
	if known {
		return answer, nil
	}
	answer, err := holds(ctx, d.o.Blobs, content, root)
	if err != nil {
		return false, fmt.Errorf("look for the checkout in a file: %w", err)
	}
	if len(d.mentions) >= maxContents {
		clear(d.mentions)
	}
	d.mentions[q] = answer
	return answer, nil
}

func holds(ctx context.Context, blobs store.Blobs, d digest.Digest, text string) (bool, error) {
	if d.Size() < int64(len(text)) {
		return false, nil
	}
	content, err := store.ReadAll(ctx, blobs, d, maxOutput)
	return bytes.Contains(content, []byte(text)), err
}

// leaks returns an output that says where it was made, "" if none does: an option
// may write that down of which nobody here knows.
func (d *Desk) leaks(ctx context.Context, p *Prepared, outs []action.Output) (string, error) {
	if p.root == "" {
		return "", nil
	}
	for _, o := range outs {
		leak, err := holds(ctx, d.o.Blobs, o.Digest, terms.Place)
		if leak || err != nil {
			return o.Path, err
		}
	}
	return "", nil
}

// laid are the files, links and directories of the step, where they lie for it.
func (p *Prepared) laid() (files []tree.File, links []tree.Link, dirs []string) {
	files, dirs = p.files, append(slices.Clone(p.answer.Dirs), p.dir)
	for _, l := range p.answer.Links {
		links = append(links, tree.Link{Path: terms.There(p.root, l.Path), Target: l.Target})
	}
	if p.root == "" {
		return files, links, dirs
	}
	files = slices.Clone(files)
	for i := range files {
		files[i].Path = terms.There(p.root, files[i].Path)
	}
	return files, links, there(p.root, dirs)
}

func there(root string, paths []string) []string {
	if root == "" {
		return paths
	}
	out := make([]string, len(paths))
	for i, p := range paths {
		out[i] = terms.There(root, p)
	}
	return out
}

// remembered is a run as every checkout may find it.
func (p *Prepared) remembered(r manifest.Run) manifest.Run {
	if p.root == "" {
		return r
	}
	for i := range r.Read {
		r.Read[i].Path = terms.There(p.root, r.Read[i].Path)
	}
	for i := range r.Links {
		r.Links[i].Path = terms.There(p.root, r.Links[i].Path)
	}
	r.Present, r.Absent, r.Dirs = there(p.root, r.Present), there(p.root, r.Absent), there(p.root, r.Dirs)
	return r
}

// movedWorld is a world whose checkout lies in terms.Place.
type movedWorld struct {
	manifest.World
	root string
}

func (w movedWorld) Content(p string) (digest.Digest, bool) {
	return w.World.Content(terms.Here(w.root, p))
}
func (w movedWorld) There(p string) bool           { return w.World.There(terms.Here(w.root, p)) }
func (w movedWorld) Gone(p string) bool            { return w.World.Gone(terms.Here(w.root, p)) }
func (w movedWorld) Leads(p string) (string, bool) { return w.World.Leads(terms.Here(w.root, p)) }
func (w movedWorld) Directory(p string) bool       { return w.World.Directory(terms.Here(w.root, p)) }
