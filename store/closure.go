package store

import (
	"context"
	"fmt"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store/digest"
)

const (
	// maxClosure bounds the blobs of one result: ten times the files of the
	// largest node_modules that we have met.
	maxClosure = 2_000_000
	// maxDirectoryBytes bounds one Directory message: some 100,000 entries.
	maxDirectoryBytes = 16 << 20
)

// Closure returns every blob of a result, each once: outputs, the Directory
// messages and all below them, and what it printed. It returns ErrNotFound,
// with the digest, if one of them is not here. Blobs that are here count as
// used.
func Closure(ctx context.Context, b Blobs, r *action.Result) ([]digest.Digest, error) {
	c := closure{blobs: b, most: maxClosure, seen: map[digest.Digest]struct{}{}}
	files, dirs := r.Blobs()
	for _, d := range files {
		c.add(d)
	}
	for _, d := range dirs {
		if err := c.directory(ctx, d); err != nil {
			return nil, fmt.Errorf("output %v: %w", d, err)
		}
	}
	if err := c.here(ctx); err != nil {
		return nil, fmt.Errorf("blobs of a result: %w", err)
	}
	return c.all, nil
}

// Tree returns the Directory root and all below it, as Closure does. More than most
// blobs are an action.ErrInvalid.
func Tree(ctx context.Context, b Blobs, root digest.Digest, most int) ([]digest.Digest, error) {
	c := closure{blobs: b, most: most, seen: map[digest.Digest]struct{}{}}
	err := c.directory(ctx, root)
	if err == nil {
		err = c.here(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("tree %v: %w", root, err)
	}
	return c.all, nil
}

type closure struct {
	blobs Blobs
	most  int
	all   []digest.Digest
	seen  map[digest.Digest]struct{}
}

// here returns ErrNotFound if one of them is not here.
func (c *closure) here(ctx context.Context) error {
	here, err := c.blobs.Has(ctx, c.all)
	if err != nil {
		return err
	}
	for i, ok := range here {
		if !ok {
			return fmt.Errorf("blob %v: %w", c.all[i], ErrNotFound)
		}
	}
	return nil
}

// add reports whether d is new.
func (c *closure) add(d digest.Digest) bool {
	if _, twice := c.seen[d]; twice {
		return false
	}
	c.seen[d] = struct{}{}
	c.all = append(c.all, d)
	return true
}

// directory adds root and all below it. It keeps a list of its own rather than
// recursing, so that a peer's deep tree cannot exhaust the stack.
func (c *closure) directory(ctx context.Context, root digest.Digest) error {
	var todo []digest.Digest
	if c.add(root) {
		todo = append(todo, root)
	}
	for len(todo) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		d := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		content, err := ReadAll(ctx, c.blobs, d, maxDirectoryBytes)
		if err != nil {
			return err
		}
		var dir repb.Directory
		if err := proto.Unmarshal(content, &dir); err != nil {
			return fmt.Errorf("directory %v: %w", d, err)
		}
		subs, err := c.entries(&dir)
		if err != nil {
			return fmt.Errorf("directory %v: %w", d, err)
		}
		todo = append(todo, subs...)
	}
	return nil
}

// entries adds what dir names and returns the directories that are new.
func (c *closure) entries(dir *repb.Directory) ([]digest.Digest, error) {
	for _, f := range dir.Files {
		d, err := action.DigestOf(f.Digest)
		if err != nil {
			return nil, fmt.Errorf("entry %q: %w", f.Name, err)
		}
		c.add(d)
	}
	var subs []digest.Digest
	for _, sub := range dir.Directories {
		d, err := action.DigestOf(sub.Digest)
		if err != nil {
			return nil, fmt.Errorf("entry %q: %w", sub.Name, err)
		}
		if c.add(d) {
			subs = append(subs, d)
		}
	}
	if len(c.all) > c.most {
		return nil, fmt.Errorf("%w result: more than %d blobs", action.ErrInvalid, c.most)
	}
	return subs, nil
}
