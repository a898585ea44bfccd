package action

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/store/digest"
)

// Directories reads REAPI Directory messages. What it returns is not changed
// by this package and may be shared.
type Directories interface {
	Directory(ctx context.Context, d digest.Digest) (*repb.Directory, error)
}

// Blob is bytes and their name.
type Blob struct {
	Digest  digest.Digest
	Content []byte
}

// EncodeBlob returns m's canonical encoding as a BLAKE3 blob.
func EncodeBlob(m proto.Message) (Blob, error) {
	content, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return Blob{}, fmt.Errorf("encode %s: %w", m.ProtoReflect().Descriptor().Name(), err)
	}
	return Blob{Digest: digest.Of(digest.BLAKE3, content), Content: content}, nil
}

// ReapiDigest returns d as REAPI messages carry it.
func ReapiDigest(d digest.Digest) *repb.Digest {
	return &repb.Digest{Hash: d.Hex(), SizeBytes: d.Size()}
}

// DigestOf reads a digest out of a native REAPI message, whose function is BLAKE3.
func DigestOf(d *repb.Digest) (digest.Digest, error) {
	return digest.FromHex(digest.BLAKE3, d.GetHash(), d.GetSizeBytes())
}

// Tree is a directory tree under construction: an existing root Directory, if
// there is one, with files, directories and links put over it. Only the
// directories on the way to what is put are ever read.
type Tree struct {
	source Directories
	root   *treeNode
}

// treeNode is a directory that is loaded, or a file or link.
type treeNode struct {
	file     *repb.FileNode
	link     *repb.SymlinkNode
	unloaded digest.Digest // a directory that nothing was put into
	children map[string]*treeNode
	said     *repb.NodeProperties // of a directory that is loaded
}

// NewTree returns the tree of root, or an empty one if root is zero.
func NewTree(source Directories, root digest.Digest) *Tree {
	t := &Tree{source: source, root: &treeNode{unloaded: root}}
	if root.IsZero() {
		t.root.children = map[string]*treeNode{}
	}
	return t
}

// Put puts o at its path. What was there is replaced, but two directories
// become one.
func (t *Tree) Put(ctx context.Context, o Output) error {
	var node *treeNode
	dir, name := splitPath(o.Path)
	switch o.Kind {
	case File:
		node = &treeNode{file: &repb.FileNode{Name: name, Digest: ReapiDigest(o.Digest), IsExecutable: o.Executable}}
	case Symlink:
		node = &treeNode{link: &repb.SymlinkNode{Name: name, Target: o.Target}}
	case Directory:
		node = &treeNode{unloaded: o.Digest}
	default:
		return fmt.Errorf("put %s: %w output kind %d", o.Path, ErrInvalid, o.Kind)
	}
	parent, err := t.walk(ctx, dir)
	if err != nil {
		return fmt.Errorf("put %s: %w", o.Path, err)
	}
	if old, ok := parent.children[name]; ok && old.isDir() && node.isDir() {
		return t.merge(ctx, old, node)
	}
	parent.children[name] = node
	return nil
}

// Mkdir makes a directory and those above it, where they are not there yet.
func (t *Tree) Mkdir(ctx context.Context, dir string) error {
	if _, err := t.walk(ctx, dir); err != nil {
		return fmt.Errorf("make directory %s: %w", dir, err)
	}
	return nil
}

// Encode returns the digest of the tree's root, and the messages of the
// directories that differ from those the tree began with, the root last.
func (t *Tree) Encode() (digest.Digest, []Blob, error) {
	return t.root.encode(nil)
}

func splitPath(p string) (dir, name string) {
	i := strings.LastIndexByte(p, '/')
	if i < 0 {
		return "", p
	}
	return p[:i], p[i+1:]
}

func (n *treeNode) isDir() bool { return n.file == nil && n.link == nil }

func (t *Tree) walk(ctx context.Context, dir string) (*treeNode, error) {
	at := t.root
	if err := t.load(ctx, at); err != nil {
		return nil, err
	}
	if dir == "" {
		return at, nil
	}
	for name := range strings.SplitSeq(dir, "/") {
		next, ok := at.children[name]
		if !ok {
			next = &treeNode{children: map[string]*treeNode{}}
			at.children[name] = next
		}
		if !next.isDir() {
			return nil, fmt.Errorf("%w tree: %s of %s is not a directory", ErrInvalid, name, dir)
		}
		if err := t.load(ctx, next); err != nil {
			return nil, err
		}
		at = next
	}
	return at, nil
}

func (t *Tree) load(ctx context.Context, n *treeNode) error {
	if n.children != nil {
		return nil
	}
	d, err := t.source.Directory(ctx, n.unloaded)
	if err != nil {
		return fmt.Errorf("read directory %v: %w", n.unloaded, err)
	}
	n.children = make(map[string]*treeNode, len(d.Files)+len(d.Directories)+len(d.Symlinks))
	for _, f := range d.Files {
		n.children[f.Name] = &treeNode{file: f}
	}
	for _, l := range d.Symlinks {
		n.children[l.Name] = &treeNode{link: l}
	}
	for _, sub := range d.Directories {
		sd, err := DigestOf(sub.Digest)
		if err != nil {
			return fmt.Errorf("directory %v, entry %q: %w", n.unloaded, sub.Name, err)
		}
		n.children[sub.Name] = &treeNode{unloaded: sd}
	}
	n.unloaded, n.said = digest.Digest{}, d.NodeProperties
	return nil
}

func (t *Tree) merge(ctx context.Context, into, from *treeNode) error {
	if into.children == nil && into.unloaded == from.unloaded {
		return nil
	}
	if err := t.load(ctx, into); err != nil {
		return err
	}
	if err := t.load(ctx, from); err != nil {
		return err
	}
	for name, child := range from.children {
		old, ok := into.children[name]
		if ok && old.isDir() && child.isDir() {
			if err := t.merge(ctx, old, child); err != nil {
				return err
			}
			continue
		}
		into.children[name] = child
	}
	return nil
}

func (n *treeNode) encode(blobs []Blob) (digest.Digest, []Blob, error) {
	if n.children == nil {
		return n.unloaded, blobs, nil
	}
	dir := repb.Directory{NodeProperties: n.said}
	for name, child := range n.children {
		switch {
		case child.file != nil:
			dir.Files = append(dir.Files, child.file)
		case child.link != nil:
			dir.Symlinks = append(dir.Symlinks, child.link)
		default:
			d, more, err := child.encode(blobs)
			if err != nil {
				return digest.Digest{}, nil, err
			}
			blobs = more
			dir.Directories = append(dir.Directories, &repb.DirectoryNode{Name: name, Digest: ReapiDigest(d)})
		}
	}
	SortDirectory(&dir)
	b, err := EncodeBlob(&dir)
	if err != nil {
		return digest.Digest{}, nil, err
	}
	return b.Digest, append(blobs, b), nil
}

// SortDirectory puts a Directory's entries into REAPI's canonical order.
func SortDirectory(d *repb.Directory) {
	slices.SortFunc(d.Files, func(a, b *repb.FileNode) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(d.Directories, func(a, b *repb.DirectoryNode) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(d.Symlinks, func(a, b *repb.SymlinkNode) int { return cmp.Compare(a.Name, b.Name) })
}
