// Package manifest remembers of a compile which of the files that it might have
// read it did read, so that a change in one of the others is none to it. The
// package is pure: what it keeps goes through Store, and what there is now comes
// through World. Start reading at Run, then at Manifest.Find.
//
// A compiler is a function of its command, its own files, what it read, and
// whether the paths that it looked for were there. A scan says all that it may
// look for, a depfile what it read. If everything that was read is as it was,
// and everything that was looked for is there or not there as it was, then each
// step of a new run is that of the old one, and so is what it makes. Unlike a
// list of what was read alone, this notices a header that appears earlier on the
// path.
package manifest

import (
	"context"
	"slices"
	"strings"

	"github.com/buildnet/buildnet/store/digest"
)

const (
	// maxRuns is how many runs of one command are remembered: branches that
	// somebody goes to and fro between.
	maxRuns = 8
	// maxPaths bounds what all of them name.
	maxPaths = 200_000
)

// File is a file and its content.
type File struct {
	Path   string
	Digest digest.Digest
}

// Link is a symbolic link.
type Link struct{ Path, Target string }

// Run is what one run of a command depended on. Paths are absolute, and sorted.
type Run struct {
	// Read are the files whose content counted.
	Read []File
	// Present are those that were looked for, were there and were not read.
	Present []string
	// Absent were looked for in vain.
	Absent []string
	Links  []Link
	// Dirs are directories that were there.
	Dirs []string
	// Action has the result.
	Action digest.Digest
}

// Manifest are the last runs of one command on one source, the newest first.
type Manifest struct{ runs []Run }

// Store keeps manifests. It may lose them.
type Store interface {
	// Load returns what was kept under key; nil if there is nothing.
	Load(ctx context.Context, key digest.Digest) ([]byte, error)
	Keep(ctx context.Context, key digest.Digest, manifest []byte) error
}

// World is what there is now.
type World interface {
	// Content is what is in a file that the command may read.
	Content(path string) (digest.Digest, bool)
	// There reports whether there is a file, whatever is in it.
	There(path string) bool
	// Gone reports whether there is nothing.
	Gone(path string) bool
	// Leads says where a link leads.
	Leads(path string) (target string, ok bool)
	// Directory reports whether there is a directory.
	Directory(path string) bool
}

// KeyOf returns under which key the manifest of a command is kept. command names
// all of an action but its inputs: arguments, environment, working directory,
// outputs and toolchain.
func KeyOf(command digest.Digest, sources []File) digest.Digest {
	b := command.Binary()
	for _, s := range sources {
		b = append(appendString(b, s.Path), s.Digest.Binary()...)
	}
	return digest.Of(digest.BLAKE3, append(b, "manifest 1"...))
}

// Add remembers a run.
func (m *Manifest) Add(r Run) {
	r.sort()
	m.runs = slices.DeleteFunc(m.runs, func(old Run) bool { return old.Action == r.Action || old.same(&r) })
	m.runs = slices.Insert(m.runs, 0, r)
	paths := 0
	for i := range m.runs {
		paths += m.runs[i].size()
		if i > 0 && (i >= maxRuns || paths > maxPaths) {
			m.runs = m.runs[:i]
			return
		}
	}
}

func (r *Run) sort() {
	slices.SortFunc(r.Read, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	slices.SortFunc(r.Links, func(a, b Link) int { return strings.Compare(a.Path, b.Path) })
	slices.Sort(r.Present)
	slices.Sort(r.Absent)
	slices.Sort(r.Dirs)
}

// Clone returns a run that shares no memory with r.
func (r *Run) Clone() Run {
	return Run{
		Read: slices.Clone(r.Read), Present: slices.Clone(r.Present), Absent: slices.Clone(r.Absent),
		Links: slices.Clone(r.Links), Dirs: slices.Clone(r.Dirs), Action: r.Action,
	}
}

// same reports whether both depended on the same.
func (r *Run) same(o *Run) bool {
	return slices.Equal(r.Read, o.Read) && slices.Equal(r.Links, o.Links) && slices.Equal(r.Present, o.Present) &&
		slices.Equal(r.Absent, o.Absent) && slices.Equal(r.Dirs, o.Dirs)
}

func (r *Run) size() int {
	return len(r.Read) + len(r.Present) + len(r.Absent) + len(r.Links) + len(r.Dirs)
}

// Find returns the action of the newest run that would be the same now.
func (m *Manifest) Find(now World) (digest.Digest, bool) {
	for i := range m.runs {
		if m.runs[i].holds(now) {
			return m.runs[i].Action, true
		}
	}
	return digest.Digest{}, false
}

// holds reports whether all that a run depended on is as it was.
func (r *Run) holds(now World) bool {
	for _, f := range r.Read {
		if d, ok := now.Content(f.Path); !ok || d != f.Digest {
			return false
		}
	}
	for _, l := range r.Links {
		if target, ok := now.Leads(l.Path); !ok || target != l.Target {
			return false
		}
	}
	missing := func(is func(string) bool) func(string) bool {
		return func(p string) bool { return !is(p) }
	}
	return !slices.ContainsFunc(r.Present, missing(now.There)) &&
		!slices.ContainsFunc(r.Absent, missing(now.Gone)) &&
		!slices.ContainsFunc(r.Dirs, missing(now.Directory))
}

// Has reports whether a run with this action is remembered.
func (m *Manifest) Has(act digest.Digest) bool {
	return slices.ContainsFunc(m.runs, func(r Run) bool { return r.Action == act })
}

// Len returns how many runs are remembered.
func (m *Manifest) Len() int { return len(m.runs) }
