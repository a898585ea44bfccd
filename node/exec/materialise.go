package exec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

// layout writes a tree of the store into a directory. Every file is a copy
// that the action may do with as it likes, or shares blocks with the store
// where the file system copies on write; never is it the store's own file.
type layout struct {
	blobs  store.Blobs
	dir    *scratchDir
	count  int
	buffer []byte
	// programs says that there is something to run.
	programs bool
	// skip are directories that are left empty.
	skip map[string]bool
	// said are directories of which more is said than what is in them, those below
	// first.
	said []saidDirectory
}

type saidDirectory struct {
	at string
	properties
}

// copyBuffer is the size of one read of a blob, in bytes.
const copyBuffer = 128 << 10

// written returns the working directory and those that outputs go into, from
// the root: REAPI says that they exist.
func (j *job) written() []string {
	dirs := []string{path.Clean(j.dir)}
	for _, o := range j.outputs {
		dirs = append(dirs, path.Dir(o))
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

// finish makes directories besides those of the inputs. Then nothing here keeps
// a program among the inputs from running.
func (l *layout) finish(dirs []string) error {
	for _, d := range dirs {
		if err := l.mkdirs(d); err != nil {
			return fmt.Errorf("lay out the directories of outputs: %w", err)
		}
	}
	if err := l.ready(); err != nil {
		return fmt.Errorf("lay out directories: %w", err)
	}
	for _, d := range l.said { // which are not as they are kept any more
		if err := d.apply(d.at); err != nil {
			return fmt.Errorf("lay out directories: %w", err)
		}
	}
	if l.programs {
		awaitStarts()
	}
	return nil
}

// mkdirs makes a directory and those above it, from the root of the inputs.
func (l *layout) mkdirs(dir string) error {
	if done, err := l.dir.work.mkdirs(dir); done || err != nil {
		return err
	}
	if err := l.dir.work.forget(); err != nil {
		return err
	}
	return l.parents(path.Join(dir, "x"))
}

// ready ends what is made in directories that may be kept.
func (l *layout) ready() error {
	if l.count > maxKept {
		return l.dir.work.forget()
	}
	return l.dir.work.ready()
}

// starts is held, for reading, while a child is started that is not one of
// vfork: such a one goes on for a while after ForkLock is free again.
var starts sync.RWMutex

// awaitStarts returns when all children execute that were forked before. Such a
// child has all open that was open here, and nobody can run for so long what it
// has open for writing (ETXTBSY). Those that are forked later have no file of
// ours open that is closed by now.
func awaitStarts() {
	syscall.ForkLock.RLock()
	syscall.ForkLock.RUnlock() //nolint:staticcheck // only the wait is of use
	starts.Lock()
	starts.Unlock() //nolint:staticcheck // only the wait is of use
}

func (l *layout) directory(ctx context.Context, d digest.Digest, at site, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%w: directories deeper than %d", ErrMalformed, maxDepth)
	}
	var m repb.Directory
	if err := message(ctx, l.blobs, d, &m); err != nil {
		return fmt.Errorf("directory: %w", err)
	}
	if l.count += len(m.Files) + len(m.Symlinks) + len(m.Directories); l.count > maxInputs {
		return fmt.Errorf("%w: more than %d inputs", ErrMalformed, maxInputs)
	}
	for _, f := range m.Files {
		if err := l.file(ctx, f, at); err != nil {
			return err
		}
	}
	for _, s := range m.Symlinks {
		if err := l.link(s, at); err != nil {
			return err
		}
	}
	for _, s := range m.Directories {
		if err := l.below(ctx, s, at, depth); err != nil {
			return err
		}
	}
	p, err := propertiesOf(m.GetNodeProperties())
	switch {
	case err != nil:
		return err
	case p != (properties{}):
		l.said = append(l.said, saidDirectory{at.path, p})
	case !at.timed(): // others get their time when all is there
		return setTime(at.path, fixedTime)
	}
	return nil
}

func (l *layout) below(ctx context.Context, n *repb.DirectoryNode, at site, depth int) error {
	if _, err := entry(at.path, n.GetName()); err != nil {
		return err
	}
	d, err := action.DigestOf(n.GetDigest())
	if err != nil {
		return fmt.Errorf("%w: directory %s: %w", ErrMalformed, n.GetName(), err)
	}
	sub, err := at.mkdir(n.GetName(), l.dir.mkdir)
	if err != nil || l.skip[sub.path] {
		return err
	}
	return l.directory(ctx, d, sub, depth+1)
}

func (l *layout) file(ctx context.Context, n *repb.FileNode, at site) error {
	p, err := at.free(n.GetName())
	if err != nil {
		return err
	}
	d, err := action.DigestOf(n.GetDigest())
	if err != nil {
		return fmt.Errorf("%w: file %s: %w", ErrMalformed, n.GetName(), err)
	}
	r, err := l.blobs.Open(ctx, d)
	if err != nil {
		return fmt.Errorf("file %s: %w", n.GetName(), err)
	}
	defer r.Close()
	said, err := propertiesOf(n.GetNodeProperties())
	if err != nil {
		return fmt.Errorf("file %s: %w", n.GetName(), err)
	}
	mode := said.mode(n.GetIsExecutable())
	l.programs = l.programs || mode&0o111 != 0
	f, err := create(p, mode)
	if err != nil {
		return l.dir.collision(p, err)
	}
	err = l.fill(f, r, mode, d)
	if errors.Is(err, store.ErrCorrupt) {
		err = errors.Join(err, store.Recheck(ctx, l.blobs, d))
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("file %s: %w", n.GetName(), err)
	}
	return setTime(p, said.time())
}

// fill copies a blob. The store checked it when it came; a disk may have
// changed it since, so that it is hashed once more on its way.
func (l *layout) fill(f *os.File, r store.Reader, mode os.FileMode, d digest.Digest) error {
	if l.dir.owner >= 0 {
		if err := f.Chown(l.dir.owner, l.dir.owner); err != nil {
			return err
		}
	}
	if err := f.Chmod(mode); err != nil { // the node's umask may be any
		return err
	}
	if source, ok := r.(interface{ Fd() uintptr }); ok && reflink(f, source.Fd()) == nil {
		return nil
	}
	hash := digest.NewHasher(d.Function())
	if _, err := io.CopyBuffer(io.MultiWriter(f, hash), struct{ io.Reader }{r}, l.buffer); err != nil {
		return err
	}
	if hash.Sum() != d {
		return fmt.Errorf("blob %v: %w", d, store.ErrCorrupt)
	}
	return nil
}

func (l *layout) link(n *repb.SymlinkNode, at site) error {
	p, err := at.free(n.GetName())
	if err != nil {
		return err
	}
	if err := os.Symlink(n.GetTarget(), p); err != nil {
		return l.dir.collision(p, err)
	}
	if err := l.dir.give(p); err != nil {
		return err
	}
	said, err := propertiesOf(n.GetNodeProperties())
	if err != nil {
		return fmt.Errorf("link %s: %w", n.GetName(), err)
	}
	return setTime(p, said.time())
}

// parents makes the directories above p, from the root of the inputs, where
// there are none. They may lead through links of the inputs, but not out. Below a
// file nothing can be made, by the command neither.
func (l *layout) parents(p string) error {
	root, err := os.OpenRoot(l.dir.work.path)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	made := ""
	for name := range strings.SplitSeq(path.Dir(p), "/") {
		made = path.Join(made, name)
		if made == "." {
			continue
		}
		err := l.dir.collision(filepath.Join(l.dir.work.path, made), root.Mkdir(made, dirMode))
		if os.IsExist(err) {
			continue
		}
		if errors.Is(err, syscall.ENOTDIR) {
			return nil
		}
		if err != nil {
			return err
		}
		if l.dir.odd {
			if err := root.Chmod(made, dirMode); err != nil {
				return err
			}
		}
		if l.dir.owner >= 0 {
			if err := root.Lchown(made, l.dir.owner, l.dir.owner); err != nil {
				return err
			}
		}
		for _, changed := range []string{made, path.Dir(made)} {
			if err := root.Chtimes(changed, fixedTime, fixedTime); err != nil {
				return err
			}
		}
	}
	return nil
}

// entry returns the path of a directory's entry, whose name came from a peer.
func entry(dir, name string) (string, error) {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") || !filepath.IsLocal(name) {
		return "", fmt.Errorf("%w: an entry is called %q", ErrMalformed, name)
	}
	return filepath.Join(dir, name), nil
}

// elements are the names on a clean path.
func elements(p string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for name := range strings.SplitSeq(strings.Trim(p, "/"), "/") {
			if name != "" && !yield(name) {
				return
			}
		}
	}
}
