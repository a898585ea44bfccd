package results

import (
	"bytes"
	"context"
	"fmt"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/node/reapi/limits"
	"github.com/buildnet/buildnet/node/reapi/names"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

const (
	// maxTreeBytes bounds a Tree message, as what this mesh makes itself.
	maxTreeBytes = 64 << 20
	// maxDirectoryBytes bounds a Directory message.
	maxDirectoryBytes = 16 << 20
	// maxBelow bounds the blobs of a result.
	maxBelow = 1_000_000
)

// below adds what is in an output directory.
func (n *naming) below(ctx context.Context, fn digest.Function, d *repb.OutputDirectory) error {
	if d.GetTreeDigest() == nil {
		root, err := names.Digest(fn, d.GetRootDirectoryDigest())
		if err != nil {
			return err
		}
		return n.directories(ctx, fn, root)
	}
	td, err := names.Digest(fn, d.GetTreeDigest())
	if err != nil {
		return err
	}
	encoded, err := store.ReadAll(ctx, n.store.opts.Blobs, td, maxTreeBytes)
	if err != nil {
		return err
	}
	for len(encoded) > 0 {
		num, typ, tag := protowire.ConsumeTag(encoded)
		length := protowire.ConsumeFieldValue(num, typ, encoded[max(tag, 0):])
		if tag < 0 || length < 0 {
			return fmt.Errorf("%w: output directory %q is no Tree", names.ErrMalformed, d.GetPath())
		}
		if typ == protowire.BytesType && num <= 2 { // its root, and the directories below
			content, _ := protowire.ConsumeBytes(encoded[tag:])
			dir, err := directoryOf(content)
			if err != nil {
				return fmt.Errorf("output directory %q: %w", d.GetPath(), err)
			}
			if _, err := n.files(ctx, fn, dir); err != nil {
				return err
			}
		}
		encoded = encoded[tag+length:]
	}
	return nil
}

// directoryOf decodes a Directory that a client has made: one of the many of a Tree at
// a time.
func directoryOf(content []byte) (*repb.Directory, error) {
	var dir repb.Directory
	if bytes, ok := limits.Decoded(dir.ProtoReflect().Descriptor(), content); !ok {
		return nil, fmt.Errorf("%w: a Directory that takes %d bytes in memory", names.ErrMalformed, bytes)
	}
	if err := proto.Unmarshal(content, &dir); err != nil {
		return nil, fmt.Errorf("%w: no Directory: %w", names.ErrMalformed, err)
	}
	return &dir, nil
}

// directories adds the directories below one that is here, and their files.
func (n *naming) directories(ctx context.Context, fn digest.Function, root digest.Digest) error {
	walked := map[digest.Digest]bool{root: true}
	for todo := []digest.Digest{root}; len(todo) > 0; {
		d := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		content, err := store.ReadAll(ctx, n.store.opts.Blobs, d, maxDirectoryBytes)
		if err != nil {
			return err
		}
		dir, err := directoryOf(content)
		if err != nil {
			return fmt.Errorf("directory %v: %w", d, err)
		}
		subs, err := n.files(ctx, fn, dir)
		if err != nil {
			return err
		}
		if err := n.add(ctx, subs...); err != nil {
			return err
		}
		if len(n.missing) > 0 {
			return nil
		}
		for _, sub := range subs {
			if !walked[sub] {
				walked[sub] = true
				todo = append(todo, sub)
			}
		}
	}
	return nil
}

// files adds the files of a directory, and returns the directories in it.
func (n *naming) files(ctx context.Context, fn digest.Function, dir *repb.Directory) ([]digest.Digest, error) {
	files := make([]digest.Digest, 0, len(dir.GetFiles()))
	for _, f := range dir.GetFiles() {
		d, err := names.Digest(fn, f.GetDigest())
		if err != nil {
			return nil, err
		}
		files = append(files, d)
	}
	subs := make([]digest.Digest, 0, len(dir.GetDirectories()))
	for _, s := range dir.GetDirectories() {
		d, err := names.Digest(fn, s.GetDigest())
		if err != nil {
			return nil, err
		}
		subs = append(subs, d)
	}
	if err := n.add(ctx, files...); err != nil {
		return nil, err
	}
	if len(n.blobs) > maxBelow {
		return nil, fmt.Errorf("%w: a result of more than %d blobs", names.ErrMalformed, maxBelow)
	}
	return subs, nil
}

// outlined is r with what a client gave within it kept as blobs. r stays as it is.
func (s *Store) outlined(ctx context.Context, fn digest.Function, r *repb.ActionResult) (*repb.ActionResult, error) {
	c, _ := proto.Clone(r).(*repb.ActionResult)
	keep := func(content []byte, to **repb.Digest) error {
		if len(content) == 0 {
			return nil
		}
		d := digest.Of(fn, content)
		if *to != nil && ((*to).GetHash() != d.Hex() || (*to).GetSizeBytes() != d.Size()) {
			return fmt.Errorf("%w: what is inlined is not %s", names.ErrMalformed, (*to).GetHash())
		}
		*to = names.Message(d)
		return s.opts.Blobs.Put(ctx, d, bytes.NewReader(content))
	}
	if err := keep(c.GetStdoutRaw(), &c.StdoutDigest); err != nil {
		return nil, err
	}
	if err := keep(c.GetStderrRaw(), &c.StderrDigest); err != nil {
		return nil, err
	}
	c.StdoutRaw, c.StderrRaw = nil, nil
	for _, f := range c.GetOutputFiles() {
		if err := keep(f.GetContents(), &f.Digest); err != nil {
			return nil, err
		}
		f.Contents = nil
	}
	return c, nil
}
