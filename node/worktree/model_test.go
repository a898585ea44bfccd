package worktree

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/buildnet/buildnet/sched/action"
)

// The model knows a tree by reading all of it each time. It is told what was
// built, and says what the tree has to say.
type model struct {
	b *bench
	// placed is what builds put where, as lies says it.
	placed map[string]string
	sealed bool
	// set, and what was at the paths that matter, when it was sealed.
	set  []string
	seen map[string]string
}

var (
	modelSources = []string{"s/a", "s/b", "t/c"}
	modelPaths   = append([]string{"o/x", "o/y/z", "o/w", "o/mine", "p", "s/d/e"}, modelSources...)
	modelDirs    = []string{"s", "t", "o", "o/y", "s/d", "n"}
	modelTexts   = []string{"", "a", "b", "aa", "bb"}
)

// state returns files and links with their content and permission.
func (m *model) state() map[string]string {
	all := m.b.lies()
	for p, content := range all {
		if strings.HasSuffix(p, "/") || strings.HasPrefix(content, "->") {
			continue
		}
		if info, err := os.Lstat(filepath.Join(m.b.root, p)); err == nil && info.Mode()&0o100 != 0 {
			all[p] = "x:" + content
		}
	}
	return all
}

// fileSet is what a glob could tell from another tree.
func fileSet(state map[string]string) []string {
	var set []string
	for p, content := range state {
		switch {
		case strings.HasSuffix(p, "/"):
		case strings.HasPrefix(content, "->"):
			set = append(set, p+content)
		default:
			set = append(set, p)
		}
	}
	slices.Sort(set)
	return set
}

func (m *model) abs(p string) string { return filepath.Join(m.b.root, p) }

// edit does what users do. It may fail: then it did something else.
func (m *model) edit(r *rapid.T) {
	p := rapid.SampledFrom(modelPaths).Draw(r, "path")
	text := rapid.SampledFrom(modelTexts).Draw(r, "text")
	switch rapid.SampledFrom([]string{"write", "write", "keep mtime", "remove", "chmod", "link", "rename", "mkdir", "rmdir", "touch"}).Draw(r, "edit") {
	case "write":
		_ = os.MkdirAll(filepath.Dir(m.abs(p)), 0o755)
		_ = os.WriteFile(m.abs(p), []byte(text), 0o644)
	case "keep mtime":
		if info, err := os.Lstat(m.abs(p)); err == nil && info.Mode().IsRegular() {
			_ = os.WriteFile(m.abs(p), []byte(text), 0o644)
			_ = os.Chtimes(m.abs(p), info.ModTime(), info.ModTime())
		}
	case "remove":
		_ = os.Remove(m.abs(p))
	case "chmod":
		if info, err := os.Lstat(m.abs(p)); err == nil && info.Mode().IsRegular() {
			_ = os.Chmod(m.abs(p), info.Mode().Perm()^0o111)
		}
	case "link":
		if os.Remove(m.abs(p)) == nil {
			_ = os.Symlink("t/c"+text, m.abs(p))
		}
	case "rename":
		_ = os.Rename(m.abs(p), m.abs(rapid.SampledFrom(modelPaths).Draw(r, "to")))
	case "mkdir":
		_ = os.MkdirAll(m.abs(rapid.SampledFrom(modelDirs).Draw(r, "dir")), 0o755)
	case "rmdir":
		_ = os.RemoveAll(m.abs(rapid.SampledFrom(modelDirs).Draw(r, "dir")))
	case "touch":
		if content, err := os.ReadFile(m.abs(p)); err == nil {
			_ = os.WriteFile(m.abs(p), content, 0o644)
		}
	}
}

// outputs draws what a build makes: as the tree is told, and as it is to lie.
func (m *model) outputs(r *rapid.T) (p Placement, want map[string]string) {
	text := func() string { return rapid.SampledFrom(modelTexts).Draw(r, "made") }
	want = map[string]string{"p": text()}
	p.Outputs = []action.Output{m.b.out("p", want["p"])}
	switch rapid.SampledFrom([]string{"files", "directory", "one"}).Draw(r, "configuration") {
	case "files":
		for _, o := range []string{"o/x", "o/y/z"} {
			want[o] = text()
			p.Outputs = append(p.Outputs, m.b.out(o, want[o]))
		}
	case "directory":
		files := map[string]string{}
		for _, name := range []string{"x", "y/z", "w"} {
			if rapid.Bool().Draw(r, name) {
				files[name] = text()
				want["o/"+name] = files[name]
			}
		}
		p.Outputs = append(p.Outputs, m.b.dir("o", files))
	}
	for _, o := range p.Outputs {
		p.Declared = append(p.Declared, o.Path)
	}
	return p, want
}

// build builds and checks every step of it.
func (m *model) build(r *rapid.T) {
	b := m.b
	b.reopen()
	m.sealed = false
	before := m.state()
	s := b.scan()
	sources := m.ingest(r, s, before)
	p, want := m.outputs(r)
	report, err := b.Place(context.Background(), p)
	if errors.Is(err, ErrBlocked) {
		if after := m.state(); !maps.Equal(before, after) {
			r.Fatalf("blocked by %v, but the tree changed from %q to %q", err, before, after)
		}
		return
	}
	if err != nil {
		r.Fatal(err)
	}
	after := m.state()
	m.checkPlaced(r, want, before, after, report)
	if err := b.Seal(context.Background(), "all", State{Snapshot: s, Sources: sources, Outputs: p.Outputs}); err != nil {
		r.Fatal(err)
	}
	m.sealed, m.set, m.seen = true, fileSet(after), map[string]string{}
	for _, o := range append(slices.Collect(maps.Keys(want)), sources...) {
		m.seen[o] = after[o]
	}
	if rest, ok := after["o/"]; ok && len(p.Outputs) == 2 {
		m.seen["o/"] = rest
	}
}

func (m *model) ingest(r *rapid.T, s *Snapshot, before map[string]string) []string {
	var sources []string
	for _, p := range modelSources {
		if _, ok := before[p]; ok {
			sources = append(sources, p)
		}
	}
	outs, err := m.b.Ingest(context.Background(), s, sources, m.b.blobs.Lease().Hold)
	if err != nil {
		r.Fatal(err)
	}
	for _, p := range sources {
		want := action.Output{Path: p, Kind: action.Symlink}
		content, link := strings.CutPrefix(before[p], "->")
		if want.Target = content; !link {
			content, exec := strings.CutPrefix(before[p], "x:")
			want = m.b.out(p, content)
			want.Executable = exec
		}
		if outs[p] != want {
			r.Fatalf("ingested %+v, want %+v", outs[p], want)
		}
	}
	return sources
}

func (m *model) checkPlaced(r *rapid.T, want, before, after map[string]string, report PlaceReport) {
	var removed, modified []string
	left := maps.Clone(after)
	for path, content := range want {
		if after[path] != content {
			r.Fatalf("%s holds %q, want %q", path, after[path], content)
		}
		delete(left, path)
	}
	for path, content := range before {
		_, made := want[path]
		if made || strings.HasSuffix(path, "/") {
			continue
		}
		was, ours := m.placed[path]
		now, is := after[path]
		switch {
		case ours && was == strings.TrimPrefix(content, "x:"):
			removed = append(removed, path)
			delete(m.placed, path)
			if is {
				r.Fatalf("%s is still there", path)
			}
		case ours:
			modified = append(modified, path)
			fallthrough
		default:
			if !is || now != content {
				r.Fatalf("%s was %q, is %q", path, content, now)
			}
		}
		delete(left, path)
	}
	for path := range left {
		if !strings.HasSuffix(path, "/") {
			r.Fatalf("%s came from nowhere", path)
		}
	}
	for path := range m.placed {
		if _, is := before[path]; !is {
			delete(m.placed, path)
		}
	}
	maps.Copy(m.placed, want)
	slices.Sort(removed)
	slices.Sort(modified)
	if !slices.Equal(report.Removed, removed) || !slices.Equal(report.Modified, modified) {
		r.Fatalf("report %+v, want removed %v and modified %v", report, removed, modified)
	}
}

// check asks the tree what the model knows.
func (m *model) check(r *rapid.T) {
	state, same, err := m.b.Unchanged(context.Background(), "all")
	if err != nil {
		r.Fatal(err)
	}
	now := m.state()
	want := m.sealed && slices.Equal(fileSet(now), m.set)
	for p, content := range m.seen {
		is, ok := now[p]
		want = want && ok && is == content
	}
	if same != want {
		r.Fatalf("unchanged is %v (%+v), want %v: now %q, sealed %q of %q", same, state, want, now, m.seen, m.set)
	}
}

func TestTreeAgainstAModelThatReadsEverything(t *testing.T) {
	for name, open := range map[string]opener{"walked": openLocal, "watched": openLocal, "remote": openRemote} {
		t.Run(name, func(t *testing.T) {
			var w *Watcher
			if name == "watched" {
				w = startWatcher(t)
			}
			rapid.Check(t, func(r *rapid.T) {
				b := newBench(t, open)
				b.opts.Watcher = w
				b.reopen()
				defer os.RemoveAll(b.root)
				m := &model{b: b, placed: map[string]string{}}
				for range rapid.IntRange(1, 12).Draw(r, "rounds") {
					for range rapid.IntRange(0, 4).Draw(r, "edits") {
						m.edit(r)
					}
					m.check(r)
					if rapid.Bool().Draw(r, "build") {
						m.build(r)
						m.check(r)
					}
				}
			})
		})
	}
}
