package translate

import (
	"errors"
	"fmt"
	"path"
	"strings"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/store/digest"
)

var (
	// ErrMalformed says that a tree breaks the rules of the specification.
	ErrMalformed = errors.New("malformed directory")
	// ErrTooLarge says that a tree breaks one of the Limits.
	ErrTooLarge = errors.New("directory is too large")
)

// Fault says what is wrong with which directory of a tree. It matches ErrMalformed or
// ErrTooLarge.
type Fault struct {
	Directory digest.Digest
	// Path is where the directory is in the tree, "." at the root; empty if that
	// is not known.
	Path string
	Why  string
	kind error
}

// Error implements error.
func (f *Fault) Error() string {
	at := f.Directory.String()
	if f.Path != "" {
		at = f.Path + " (" + at + ")"
	}
	return fmt.Sprintf("%v: %s: %s", f.kind, at, f.Why)
}

// Unwrap returns the sentinel.
func (f *Fault) Unwrap() error { return f.kind }

func malformed(d digest.Digest, format string, args ...any) *Fault {
	return &Fault{Directory: d, Why: fmt.Sprintf(format, args...), kind: ErrMalformed}
}

func tooLarge(d digest.Digest, format string, args ...any) *Fault {
	return &Fault{Directory: d, Why: fmt.Sprintf(format, args...), kind: ErrTooLarge}
}

// placed adds to a fault where its directory is. Others share the fault: it is copied.
func (w *walk) placed(err error) error {
	var f *Fault
	if !errors.As(err, &f) {
		return err
	}
	here := *f
	here.Path = w.at[f.Directory]
	return &here
}

// decode reads and checks the Directory message that d names.
func decode(d digest.Digest, content []byte, maxEntries int) (*dir, error) {
	kept, err := strip(d, content, maxEntries)
	if err != nil {
		return nil, err
	}
	var m repb.Directory
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(kept, &m); err != nil {
		return nil, malformed(d, "no Directory message: %v", err)
	}
	return check(d, &m)
}

// minNode is what a FileNode and a DirectoryNode are longer than: the digits of a hash.
const minNode = 2 * 32

// strip returns content without what is not used, before anything is allocated for
// it: a property takes 2 bytes here and 100 in memory.
func strip(d digest.Digest, content []byte, maxEntries int) ([]byte, error) {
	kept := make([]byte, 0, len(content))
	for entries := 0; len(content) > 0; {
		num, typ, n := protowire.ConsumeField(content)
		if n < 0 {
			return nil, malformed(d, "no Directory message: %v", protowire.ParseError(n))
		}
		_, _, tag := protowire.ConsumeTag(content)
		if typ == protowire.BytesType && num == fieldDirectory {
			said, _ := protowire.ConsumeBytes(content[tag:])
			var err error
			if kept, err = appendProperties(kept, num, said); err != nil {
				return nil, malformed(d, "no Directory message: %v", err)
			}
		}
		if typ == protowire.BytesType && num <= 3 {
			if entries++; entries > maxEntries {
				return nil, tooLarge(d, "more than %d entries", maxEntries)
			}
			entry, _ := protowire.ConsumeBytes(content[tag:])
			if num != 3 && len(entry) < minNode {
				return nil, malformed(d, "an entry of %d bytes, which cannot have a digest", len(entry))
			}
			kept = protowire.AppendTag(kept, num, typ)
			var err error
			if kept, err = appendEntry(kept, entry, fieldOf[num]); err != nil {
				return nil, malformed(d, "no Directory message: %v", err)
			}
		}
		content = content[n:]
	}
	return kept, nil
}

// The fields of node properties: of a Directory, and of those of its lists, by the
// numbers of these. A DirectoryNode has none.
const fieldDirectory = 5

var fieldOf = [...]protowire.Number{1: 6, 3: 4}

// appendEntry appends, with its length, a node with its name, its digest or target and
// its executable bit, which is field 4 of a FileNode, and what is kept of its
// properties, in the field said.
func appendEntry(to, entry []byte, said protowire.Number) ([]byte, error) {
	kept := make([]byte, 0, 128) // on the stack for most
	for len(entry) > 0 {
		num, typ, n := protowire.ConsumeField(entry)
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		switch {
		case num <= 2, num == 4 && typ == protowire.VarintType:
			kept = append(kept, entry[:n]...)
		case num == said && typ == protowire.BytesType:
			_, _, tag := protowire.ConsumeTag(entry)
			content, _ := protowire.ConsumeBytes(entry[tag:])
			var err error
			if kept, err = appendProperties(kept, num, content); err != nil {
				return nil, err
			}
		}
		entry = entry[n:]
	}
	return protowire.AppendBytes(to, kept), nil
}

// appendProperties appends NodeProperties as a field, without named ones.
func appendProperties(to []byte, field protowire.Number, said []byte) ([]byte, error) {
	kept := make([]byte, 0, 32) // on the stack for most
	for len(said) > 0 {
		num, _, n := protowire.ConsumeField(said)
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		if num == 2 || num == 3 {
			kept = append(kept, said[:n]...)
		}
		said = said[n:]
	}
	if len(kept) == 0 {
		return to, nil
	}
	return protowire.AppendBytes(protowire.AppendTag(to, field, protowire.BytesType), kept), nil
}

// check is the canonical form of a Directory: remote_execution.proto, Directory.
func check(d digest.Digest, m *repb.Directory) (*dir, error) {
	c := &dir{digest: d}
	var err error
	if c.said, err = properties(m.GetNodeProperties()); err != nil {
		return nil, malformed(d, "%v", err)
	}
	for _, f := range m.Files {
		fd, err := digest.FromHex(d.Function(), f.GetDigest().GetHash(), f.GetDigest().GetSizeBytes())
		if err != nil {
			return nil, malformed(d, "file %q: %v", f.GetName(), err)
		}
		said, err := properties(f.GetNodeProperties())
		if err != nil {
			return nil, malformed(d, "file %q: %v", f.GetName(), err)
		}
		c.files = append(c.files, file{name: f.GetName(), digest: fd, executable: f.GetIsExecutable(), said: said})
	}
	for _, s := range m.Directories {
		sd, err := digest.FromHex(d.Function(), s.GetDigest().GetHash(), s.GetDigest().GetSizeBytes())
		if err != nil {
			return nil, malformed(d, "directory %q: %v", s.GetName(), err)
		}
		c.subs = append(c.subs, sub{name: s.GetName(), digest: sd})
	}
	for _, l := range m.Symlinks {
		if l.GetTarget() == "" || strings.ContainsRune(l.GetTarget(), 0) || len(l.GetTarget()) > maxTarget {
			return nil, malformed(d, "symlink %q: no target that can be", l.GetName())
		}
		if path.IsAbs(l.GetTarget()) { // SymlinkAbsolutePathStrategy.DISALLOWED, which the capabilities say
			return nil, malformed(d, "symlink %q leads to %q, and absolute targets are not allowed: make it relative, or have what it leads to as an input in its place", l.GetName(), l.GetTarget())
		}
		said, err := properties(l.GetNodeProperties())
		if err != nil {
			return nil, malformed(d, "symlink %q: %v", l.GetName(), err)
		}
		c.links = append(c.links, link{name: l.GetName(), target: l.GetTarget(), said: said})
	}
	return c, c.checkNames()
}

const (
	// maxName is what file systems allow, in bytes.
	maxName = 255
	// maxTarget is Linux's PATH_MAX less the NUL, in bytes.
	maxTarget = 4095
)

// checkNames merges the three lists, which are sorted if all is well.
func (d *dir) checkNames() error {
	lists := [3]struct {
		what string
		n    int
		name func(i int) string
	}{
		{"files", len(d.files), func(i int) string { return d.files[i].name }},
		{"directories", len(d.subs), func(i int) string { return d.subs[i].name }},
		{"symlinks", len(d.links), func(i int) string { return d.links[i].name }},
	}
	for _, l := range lists {
		for i := range l.n {
			if why := nameFault(l.name(i)); why != "" {
				return malformed(d.digest, "the name %q of %s %s", l.name(i), l.what, why)
			}
			if i > 0 && l.name(i-1) >= l.name(i) {
				return malformed(d.digest, "%s: %q comes after %q: they must be sorted, and each there once", l.what, l.name(i), l.name(i-1))
			}
		}
	}
	for i, a := range lists {
		for _, b := range lists[i+1:] {
			for x, y := 0, 0; x < a.n && y < b.n; {
				switch p, q := a.name(x), b.name(y); {
				case p == q:
					return malformed(d.digest, "%q is among the %s and among the %s", p, a.what, b.what)
				case p < q:
					x++
				default:
					y++
				}
			}
		}
	}
	return nil
}

func nameFault(name string) string {
	switch {
	case name == "":
		return "is empty"
	case name == "." || name == "..":
		return "is no name of its own"
	case strings.ContainsRune(name, '/'):
		return "has a slash"
	case strings.ContainsRune(name, 0):
		return "has a NUL"
	case len(name) > maxName:
		return "is longer than 255 bytes"
	default:
		return ""
	}
}
