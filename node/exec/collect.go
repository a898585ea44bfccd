package exec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"unicode/utf8"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

// collection brings the declared outputs of an action into the store. The tree
// is the action's work: nothing in it is trusted, and no link is followed out
// of it.
type collection struct {
	blobs store.Blobs
	root  *os.Root
	left  int64 // of the bytes that outputs may have
	count int
	limit int64
	// wanted are the properties that are kept.
	wanted action.Wanted
}

// fault is what an action did wrong with its outputs: it becomes the message
// of the result.
type fault struct{ text string }

func (f fault) Error() string { return f.text }

func faultf(format string, args ...any) error { return fault{fmt.Sprintf(format, args...)} }

func (e *Executor) collect(ctx context.Context, j *job, dir *scratchDir, result *action.Result) error {
	root, err := os.OpenRoot(dir.work.path)
	if err != nil {
		return fmt.Errorf("collect outputs: %w", err)
	}
	defer func() { _ = root.Close() }()
	c := &collection{blobs: e.opts.Blobs, root: root, left: e.opts.OutputBytes, limit: e.opts.OutputBytes, wanted: j.wanted}
	outputs, err := c.all(ctx, j, result.OK())
	var f fault
	switch {
	case errors.As(err, &f):
		result.Message, result.Cause = f.text, action.BadOutputs
	case err != nil:
		return fmt.Errorf("collect outputs: %w", err)
	default:
		result.Outputs = outputs
	}
	return nil
}

// all collects the outputs of a job. What a command that failed has left there and
// no result can have is left out: why it failed is what is to be said.
func (c *collection) all(ctx context.Context, j *job, succeeded bool) ([]action.Output, error) {
	var outputs []action.Output
	var missing []string
	for _, p := range j.outputs {
		o, err := c.output(ctx, p)
		switch {
		case absent(err):
			missing = append(missing, p)
		case !succeeded && errors.As(err, new(fault)):
		case err != nil:
			return nil, err
		default:
			outputs = append(outputs, o)
		}
	}
	if len(missing) > 0 && !j.optional {
		return nil, faultf("the command succeeded but did not make %s: declare what it makes, or make it write there", strings.Join(missing, ", "))
	}
	slices.SortFunc(outputs, func(a, b action.Output) int { return strings.Compare(a.Path, b.Path) })
	return outputs, nil
}

func (c *collection) output(ctx context.Context, p string) (action.Output, error) {
	info, err := c.root.Lstat(p)
	if err != nil {
		return action.Output{}, c.escape(p, err)
	}
	o := action.Output{Path: p, Properties: c.properties(info)}
	switch {
	case info.Mode().IsRegular():
		o.Kind, o.Executable = action.File, info.Mode()&0o111 != 0
		o.Digest, err = c.file(ctx, p, info)
	case info.IsDir():
		o.Kind = action.Directory
		o.Digest, err = c.directory(ctx, p, info, 0)
	case info.Mode()&fs.ModeSymlink != 0:
		o.Kind = action.Symlink
		o.Target, err = c.target(p)
	default:
		err = faultf("output %s is neither a file, a directory nor a link: make the command remove it", p)
	}
	return o, err
}

// absent reports whether there is nothing at a path, or one above it is a file.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// escape says of a path that leads out of the tree that it does.
func (c *collection) escape(p string, err error) error {
	if absent(err) || errors.Is(err, fs.ErrPermission) {
		return err
	}
	return faultf("output %s cannot be reached within the tree: %v", p, err)
}

func (c *collection) file(ctx context.Context, p string, info fs.FileInfo) (digest.Digest, error) {
	if c.left -= info.Size(); c.left < 0 {
		return digest.Digest{}, faultf("the outputs are larger than the limit of %d bytes; %s is the first beyond it: make the step write less, or split it", c.limit, p)
	}
	f, err := c.open(p, 0o400)
	if err != nil {
		return digest.Digest{}, err
	}
	defer f.Close()
	d, err := c.blobs.Add(ctx, digest.BLAKE3, io.LimitReader(f, info.Size()))
	if err != nil {
		return digest.Digest{}, fmt.Errorf("output %s: %w", p, err)
	}
	return d, nil
}

// open opens what the action made, also where it took the permission away.
func (c *collection) open(p string, permission fs.FileMode) (*os.File, error) {
	f, err := c.root.Open(p)
	if errors.Is(err, fs.ErrPermission) {
		if err := c.root.Chmod(p, permission); err != nil {
			return nil, fmt.Errorf("output %s: %w", p, err)
		}
		f, err = c.root.Open(p)
	}
	if err != nil {
		return nil, fmt.Errorf("output %s: %w", p, err)
	}
	return f, nil
}

// properties are those of what the action made that are wanted. They are looked at
// before anything else is.
func (c *collection) properties(info fs.FileInfo) (p action.Properties) {
	if c.wanted.MTime {
		p.SetTime(info.ModTime())
	}
	if c.wanted.Mode {
		p.HasMode, p.Mode = true, uint32(info.Mode().Perm())
	}
	return p
}

func (c *collection) directory(ctx context.Context, p string, info fs.FileInfo, depth int) (digest.Digest, error) {
	entries, err := c.entries(p, depth)
	if err != nil {
		return digest.Digest{}, err
	}
	m := repb.Directory{NodeProperties: c.properties(info).Message()}
	for _, e := range entries {
		if !portable(e.Name()) {
			return digest.Digest{}, faultf("output %s holds a file with the name %q, which not every machine can have: give it another one", p, e.Name())
		}
		o, err := c.below(ctx, path.Join(p, e.Name()), depth)
		if err != nil {
			return digest.Digest{}, err
		}
		switch o.Kind {
		case action.File:
			m.Files = append(m.Files, &repb.FileNode{Name: e.Name(), Digest: action.ReapiDigest(o.Digest), IsExecutable: o.Executable, NodeProperties: o.Properties.Message()})
		case action.Symlink:
			m.Symlinks = append(m.Symlinks, &repb.SymlinkNode{Name: e.Name(), Target: o.Target, NodeProperties: o.Properties.Message()})
		case action.Directory:
			m.Directories = append(m.Directories, &repb.DirectoryNode{Name: e.Name(), Digest: action.ReapiDigest(o.Digest)})
		}
	}
	action.SortDirectory(&m)
	b, err := action.EncodeBlob(&m)
	if err != nil {
		return digest.Digest{}, err
	}
	return b.Digest, c.blobs.Put(ctx, b.Digest, strings.NewReader(string(b.Content)))
}

func (c *collection) below(ctx context.Context, p string, depth int) (action.Output, error) {
	info, err := c.root.Lstat(p)
	if err == nil && info.IsDir() {
		d, err := c.directory(ctx, p, info, depth+1)
		return action.Output{Path: p, Kind: action.Directory, Digest: d}, err
	}
	return c.output(ctx, p)
}

func (c *collection) entries(p string, depth int) ([]fs.DirEntry, error) {
	if depth > maxDepth {
		return nil, faultf("output %s is deeper than %d directories: make it flatter", p, maxDepth)
	}
	dir, err := c.open(p, 0o700)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	entries, err := dir.ReadDir(-1)
	if err != nil {
		return nil, fmt.Errorf("output %s: %w", p, err)
	}
	if c.count += len(entries); c.count > maxInputs {
		return nil, faultf("the outputs are more than %d files: pack them into an archive", maxInputs)
	}
	return entries, nil
}

// target returns where a link leads, which must be within the tree.
func (c *collection) target(p string) (string, error) {
	t, err := c.root.Readlink(p)
	if err != nil {
		return "", fmt.Errorf("output %s: %w", p, err)
	}
	if path.IsAbs(t) {
		return "", faultf("output %s is a link to %s, outside of the tree: make it relative", p, t)
	}
	to := path.Join(path.Dir(p), t)
	if to == ".." || strings.HasPrefix(to, "../") {
		return "", faultf("output %s is a link to %s, outside of the tree: link within the tree, or copy the file", p, t)
	}
	if !utf8.ValidString(t) {
		return "", faultf("output %s is a link to %q, which not every machine can have: give the file another name", p, t)
	}
	return t, nil
}

// portable reports whether every machine can have a file of that name, and the
// messages between them can carry it: protobuf's strings are UTF-8.
func portable(name string) bool { return action.CleanPath(name) && utf8.ValidString(name) }
