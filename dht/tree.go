package dht

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/store/digest"
)

const (
	// maxDepth of directories: twice what PATH_MAX allows with names of usual
	// length.
	maxDepth = 256
	// maxDirectories and maxFiles of one tree: ten Linux kernels.
	maxDirectories = 100_000
	maxFiles       = 1_000_000
	// maxMessage bytes has one Directory, Action or Command: 40,000 entries.
	maxMessage = 4 << 20
	// maxTreeBytes of one tree's files: what no worker's scratch disk holds.
	maxTreeBytes = 1 << 40
)

// ErrBadTree says that an action or tree is not what REAPI allows, or larger
// than a node takes. No other holder has a better one: its digest says so.
var ErrBadTree = errors.New("action or tree is malformed or too large")

// Hold keeps blobs from being collected; a lease's Hold method is one. It is
// called before a blob is looked for, so that those that are here already
// cannot go meanwhile either.
type Hold = func(ds ...digest.Digest)

// FetchTree brings the REAPI Directory root and everything below it here, and
// returns how many bytes it moved. What the local store has is not moved
// again. Directories come level by level, then the files all together. hold
// may be nil. Besides Fetch's errors it returns ErrBadTree.
func (d *DHT) FetchTree(ctx context.Context, root digest.Digest, hints []peer.ID, hold Hold) (int64, error) {
	c := d.closure(root.Function(), hints, hold)
	if err := c.tree(ctx, root); err != nil {
		return c.moved, fmt.Errorf("fetch tree %v: %w", root, err)
	}
	return c.moved, nil
}

// FetchAction brings the REAPI Action here, with its Command and the whole of
// its input root, as FetchTree does.
func (d *DHT) FetchAction(ctx context.Context, action digest.Digest, hints []peer.ID, hold Hold) (int64, error) {
	c := d.closure(action.Function(), hints, hold)
	if err := c.action(ctx, action); err != nil {
		return c.moved, fmt.Errorf("fetch action %v: %w", action, err)
	}
	return c.moved, nil
}

// closure is what one root needs, on its way here.
type closure struct {
	d     *DHT
	fn    digest.Function
	hints []peer.ID
	hold  Hold
	moved int64
	parts parts

	seen  map[digest.Digest]bool // directories
	files map[digest.Digest]bool
	bytes int64 // of files
}

func (d *DHT) closure(fn digest.Function, hints []peer.ID, hold Hold) *closure {
	if hold == nil {
		hold = func(...digest.Digest) {}
	}
	return &closure{d: d, fn: fn, hints: hints, hold: hold, seen: map[digest.Digest]bool{}, files: map[digest.Digest]bool{}}
}

func (c *closure) fetch(ctx context.Context, of kind, ds ...digest.Digest) error {
	c.hold(ds...)
	if err := c.unpack(ctx, ds); err != nil {
		return err
	}
	n, err := c.d.fetch(ctx, of, ds, c.hints, nil)
	c.moved += n
	return err
}

// unpack stores those of ds that came as parts of the action.
func (c *closure) unpack(ctx context.Context, ds []digest.Digest) error {
	if c.parts.none() {
		return nil
	}
	missing, err := c.d.missing(ctx, ds)
	if err != nil {
		return err
	}
	for _, key := range missing {
		content, ok := c.parts.take(key)
		if !ok {
			continue
		}
		if err := c.d.opts.Blobs.Put(ctx, key, bytes.NewReader(content)); err != nil {
			return fmt.Errorf("store %v: %w", key, err)
		}
		c.moved += key.Size()
		c.d.count(func(s *Stats) { s.BytesIn += key.Size(); s.BlobsIn++ })
	}
	return nil
}

func (c *closure) action(ctx context.Context, key digest.Digest) error {
	if err := bounded(key); err != nil {
		return err
	}
	c.hold(key)
	n, err := c.d.fetch(ctx, actions, []digest.Digest{key}, c.hints, &c.parts)
	c.moved += n
	if err != nil {
		return err
	}
	content, err := c.d.content(ctx, key)
	if err != nil {
		return err
	}
	var a repb.Action
	if err := proto.Unmarshal(content, &a); err != nil {
		return fmt.Errorf("%w: %w", ErrBadTree, err)
	}
	command, err := c.digest(a.GetCommandDigest())
	if err != nil {
		return fmt.Errorf("command: %w", err)
	}
	if err := bounded(command); err != nil {
		return fmt.Errorf("command: %w", err)
	}
	root, err := c.digest(a.GetInputRootDigest())
	if err != nil {
		return fmt.Errorf("input root: %w", err)
	}
	if err := bounded(root); err != nil {
		return err
	}
	// Whoever made the action has made, or read, its root as well.
	if err := c.fetch(ctx, actions, command, root); err != nil {
		return err
	}
	return c.below(ctx, root)
}

func (c *closure) tree(ctx context.Context, root digest.Digest) error {
	if err := bounded(root); err != nil {
		return err
	}
	if err := c.fetch(ctx, directories, root); err != nil {
		return err
	}
	return c.below(ctx, root)
}

// below brings what is below a root that is here.
func (c *closure) below(ctx context.Context, root digest.Digest) error {
	c.seen[root] = true
	level := []digest.Digest{root}
	for depth := 0; len(level) > 0; depth++ {
		if depth == maxDepth {
			return fmt.Errorf("%w: deeper than %d directories", ErrBadTree, maxDepth)
		}
		if depth > 0 {
			if err := c.fetch(ctx, directories, level...); err != nil {
				return err
			}
		}
		var next []digest.Digest
		for _, key := range level {
			below, err := c.open(ctx, key)
			if err != nil {
				return fmt.Errorf("directory %v: %w", key, err)
			}
			next = append(next, below...)
		}
		level = next
	}
	files := make([]digest.Digest, 0, len(c.files))
	for key := range c.files {
		files = append(files, key)
	}
	return c.fetch(ctx, anything, files...)
}

// open notes a directory's files and returns the directories below it that
// were not seen before.
func (c *closure) open(ctx context.Context, key digest.Digest) ([]digest.Digest, error) {
	content, err := c.d.content(ctx, key)
	if err != nil {
		return nil, err
	}
	var dir repb.Directory
	if err := proto.Unmarshal(content, &dir); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadTree, err)
	}
	for _, f := range dir.GetFiles() {
		file, err := c.digest(f.GetDigest())
		if err != nil {
			return nil, fmt.Errorf("file %q: %w", f.GetName(), err)
		}
		if file.Size() == 0 || c.files[file] {
			continue
		}
		c.files[file] = true
		if c.bytes += file.Size(); len(c.files) > maxFiles || c.bytes > maxTreeBytes || c.bytes < 0 {
			return nil, fmt.Errorf("%w: more than %d files or %d bytes", ErrBadTree, maxFiles, int64(maxTreeBytes))
		}
	}
	var below []digest.Digest
	for _, sub := range dir.GetDirectories() {
		at, err := c.digest(sub.GetDigest())
		if err != nil {
			return nil, fmt.Errorf("directory %q: %w", sub.GetName(), err)
		}
		if c.seen[at] {
			continue
		}
		if err := bounded(at); err != nil {
			return nil, fmt.Errorf("directory %q: %w", sub.GetName(), err)
		}
		c.seen[at] = true
		if below = append(below, at); len(c.seen) > maxDirectories {
			return nil, fmt.Errorf("%w: more than %d directories", ErrBadTree, maxDirectories)
		}
	}
	return below, nil
}

func (c *closure) digest(r *repb.Digest) (digest.Digest, error) {
	key, err := digest.FromHex(c.fn, r.GetHash(), r.GetSizeBytes())
	if err != nil {
		return digest.Digest{}, fmt.Errorf("%w: %w", ErrBadTree, err)
	}
	return key, nil
}

// bounded refuses what is too large to be one before it is fetched.
func bounded(key digest.Digest) error {
	if key.Size() > maxMessage {
		return fmt.Errorf("%w: message %v is larger than %d bytes", ErrBadTree, key, maxMessage)
	}
	return nil
}
