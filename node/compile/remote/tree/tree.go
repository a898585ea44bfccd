// Package tree makes the input trees of many actions that read mostly the same
// files, as REAPI Directory messages: what two of them have in common is made
// once. It is pure. Start reading at Forest, then at Root.
package tree

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path"
	"slices"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

// maxParts bounds what a forest remembers: some 150 bytes each.
const maxParts = 1 << 20

// ErrClash says that a path of a tree is two things at once, as when files
// changed while they were looked at.
var ErrClash = errors.New("a path is two things at once")

// File is a file of a tree, by its absolute path.
type File struct {
	Path       string
	Digest     digest.Digest
	Executable bool
}

// Link is a symbolic link of a tree.
type Link struct{ Path, Target string }

// Forest makes trees and remembers their parts. It is not for concurrent use.
type Forest struct {
	nodes map[string]*node
	root  *node
	// parts are what was ever in a tree, each once in its place: numbers stand
	// for them.
	parts []part
	dirs  map[digest.Digest]number

	turn   uint64
	lease  uint64
	levels [][]*node // the directories of this turn's tree, by depth
	clash  string
	key    []byte
	blobs  []action.Blob
}

// number names a part of a forest.
type number uint32

// part is a file, a link or a directory, as it was in some tree.
type part struct {
	name       string
	digest     digest.Digest
	executable bool
	target     string
	link, dir  bool
	in         []number // of a directory
	lease      uint64   // when its message was last handed out
}

// node is a path.
type node struct {
	path, name string
	parent     *node
	depth      int

	turn uint64 // the last whose tree it was in
	leaf bool   // then
	in   []number
	// latest is what a file or link was the last time.
	latest number
	known  bool
	// made are the directories it was, by what was in them.
	made map[string]number
}

// New returns an empty forest.
func New() *Forest {
	f := &Forest{}
	f.forget()
	return f
}

func (f *Forest) forget() {
	f.root = &node{path: "/", made: map[string]number{}}
	f.nodes = map[string]*node{"/": f.root}
	f.parts, f.dirs, f.levels = nil, map[digest.Digest]number{}, nil
}

// Begin says that nothing which was handed out is certain to be kept: Root hands
// out each message again, once.
func (f *Forest) Begin() {
	f.lease++
	if len(f.parts) > maxParts || len(f.nodes) > maxParts {
		f.forget()
	}
}

// Root returns the digest of the tree of these files, links and directories, and
// those of its messages that were not handed out since Begin. Paths are absolute
// and clean; the order in which they are given does not count.
func (f *Forest) Root(files []File, links []Link, dirs []string) (digest.Digest, []action.Blob, error) {
	f.turn++
	f.clash, f.blobs = "", nil
	for i := range f.levels {
		f.levels[i] = f.levels[i][:0]
	}
	f.need(f.root)
	for i := range files {
		n := f.at(files[i].Path)
		f.put(n, f.file(n, &files[i]))
	}
	for i := range links {
		n := f.at(links[i].Path)
		f.put(n, f.link(n, &links[i]))
	}
	for _, d := range dirs {
		f.need(f.at(d))
	}
	if f.clash != "" {
		return digest.Digest{}, nil, fmt.Errorf("%w: %s", ErrClash, f.clash)
	}
	return f.fold()
}

func (f *Forest) at(p string) *node {
	if n := f.nodes[p]; n != nil {
		return n
	}
	parent := f.at(path.Dir(p))
	n := &node{path: p, name: path.Base(p), parent: parent, depth: parent.depth + 1}
	f.nodes[p] = n
	return n
}

// need makes n a directory of this turn's tree, with those above it.
func (f *Forest) need(n *node) {
	if n.turn == f.turn {
		if n.leaf {
			f.clash = n.path
		}
		return
	}
	n.turn, n.leaf, n.in = f.turn, false, n.in[:0]
	for len(f.levels) <= n.depth {
		f.levels = append(f.levels, nil)
	}
	f.levels[n.depth] = append(f.levels[n.depth], n)
	if n.parent != nil {
		f.need(n.parent)
	}
}

// put puts a file or a link into this turn's tree.
func (f *Forest) put(n *node, is number) {
	if n.turn == f.turn {
		if !n.leaf || n.parent == nil || !slices.Contains(n.parent.in, is) {
			f.clash = n.path
		}
		return
	}
	n.turn, n.leaf = f.turn, true
	f.need(n.parent)
	n.parent.in = append(n.parent.in, is)
}

// file returns the part that n is as a file.
func (f *Forest) file(n *node, is *File) number {
	if n.known {
		if p := &f.parts[n.latest]; p.digest == is.Digest && p.executable == is.Executable && !p.link {
			return n.latest
		}
	}
	return f.leaf(n, part{name: n.name, digest: is.Digest, executable: is.Executable})
}

func (f *Forest) link(n *node, is *Link) number {
	if n.known {
		if p := &f.parts[n.latest]; p.link && p.target == is.Target {
			return n.latest
		}
	}
	return f.leaf(n, part{name: n.name, link: true, target: is.Target})
}

func (f *Forest) leaf(n *node, p part) number {
	n.latest, n.known = f.add(p), true
	return n.latest
}

func (f *Forest) add(p part) number {
	f.parts = append(f.parts, p)
	return number(len(f.parts) - 1)
}

// fold makes the directories of this turn's tree, the deepest first.
func (f *Forest) fold() (digest.Digest, []action.Blob, error) {
	var root digest.Digest
	for depth := len(f.levels) - 1; depth >= 0; depth-- {
		for _, n := range f.levels[depth] {
			is, err := f.directory(n)
			if err != nil {
				return digest.Digest{}, nil, fmt.Errorf("directory %s: %w", n.path, err)
			}
			if n.parent == nil {
				root = f.parts[is].digest
				continue
			}
			n.parent.in = append(n.parent.in, is)
		}
	}
	return root, f.blobs, nil
}

// directory returns the part that n is with what is in it.
func (f *Forest) directory(n *node) (number, error) {
	slices.Sort(n.in)
	f.key = f.key[:0]
	for _, i := range n.in {
		f.key = binary.LittleEndian.AppendUint32(f.key, uint32(i))
	}
	is, known := n.made[string(f.key)]
	if known && f.parts[is].lease == f.lease {
		return is, nil
	}
	blob, err := action.EncodeBlob(f.message(n.in))
	if err != nil {
		return 0, err
	}
	if !known {
		is = f.add(part{name: n.name, digest: blob.Digest, dir: true, in: slices.Clone(n.in)})
		if n.made == nil {
			n.made = map[string]number{}
		}
		n.made[string(f.key)] = is
		f.dirs[blob.Digest] = is
	}
	f.parts[is].lease = f.lease
	f.blobs = append(f.blobs, blob)
	return is, nil
}

func (f *Forest) message(in []number) *repb.Directory {
	var d repb.Directory
	for _, i := range in {
		switch p := &f.parts[i]; {
		case p.dir:
			d.Directories = append(d.Directories, &repb.DirectoryNode{Name: p.name, Digest: action.ReapiDigest(p.digest)})
		case p.link:
			d.Symlinks = append(d.Symlinks, &repb.SymlinkNode{Name: p.name, Target: p.target})
		default:
			d.Files = append(d.Files, &repb.FileNode{Name: p.name, Digest: action.ReapiDigest(p.digest), IsExecutable: p.executable})
		}
	}
	action.SortDirectory(&d)
	return &d
}

// Directory implements action.Directories for what the forest has made.
func (f *Forest) Directory(_ context.Context, d digest.Digest) (*repb.Directory, error) {
	is, ok := f.dirs[d]
	if !ok {
		return nil, fmt.Errorf("directory %v: %w", d, store.ErrNotFound)
	}
	return f.message(f.parts[is].in), nil
}
