package remote

import (
	"context"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/buildnet/buildnet/node/compile"
	"github.com/buildnet/buildnet/node/compile/remote/manifest"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

// maxDepfile bounds a depfile that is read, in bytes.
const maxDepfile = 16 << 20

// Known returns an action whose result p would have as well: one of the same
// command, which read nothing that has changed since, though other files that it
// might have read may have. That of p itself is to be looked for first. The
// caller looks whether there is a result, which then goes to Finish.
func (d *Desk) Known(ctx context.Context, p *Prepared) (digest.Digest, bool, error) {
	if d.o.Manifests == nil || len(p.Local) > 0 || p.Work != Compiles {
		return digest.Digest{}, false, nil
	}
	m, err := d.manifest(ctx, p.key)
	if err != nil || m.Len() == 0 {
		return digest.Digest{}, false, err
	}
	act, hit := m.Find(worldFor(p))
	return act, hit, nil
}

func (d *Desk) manifest(ctx context.Context, key digest.Digest) (manifest.Manifest, error) {
	var b []byte
	if err := d.with(ctx, func() { b = d.pending[key] }); err != nil {
		return manifest.Manifest{}, err
	}
	if b == nil {
		var err error
		if b, err = d.o.Manifests.Load(ctx, key); err != nil {
			return manifest.Manifest{}, fmt.Errorf("look up what a compile read: %w", err)
		}
	}
	if b == nil {
		return manifest.Manifest{}, nil
	}
	m, err := manifest.Unmarshal(b)
	if err != nil {
		d.o.Log.Debug("what a compile read is found out again", "digest", key, "error", err)
		return manifest.Manifest{}, nil
	}
	return m, nil
}

// narrows reports whether the depfile of a command says all that it read, but
// for the files that are silent. That of -MMD leaves out files that some other
// file calls the system's.
func narrows(c *compile.Command) bool {
	return c.Depfile != "" && c.Language().Preprocessed() &&
		!slices.ContainsFunc(c.Args, func(a string) bool { return strings.Contains(a, "-MMD") })
}

// learn remembers what a run read, by the depfile that it made.
func (d *Desk) learn(ctx context.Context, p *Prepared, r *action.Result) error {
	if d.o.Manifests == nil || p.Work != Compiles || p.answer.Rung != compile.Scanned || !narrows(p.Command) {
		return nil // what a compiler alone knows of it does not say where it looked in vain
	}
	m, err := d.manifest(ctx, p.key)
	if err != nil || m.Has(p.Action) {
		return err
	}
	named, err := d.depfile(ctx, p, r)
	if err != nil {
		return err
	}
	run, ok := d.runOf(p, named)
	if !ok {
		return nil
	}
	m.Add(run)
	b := m.Marshal()
	return d.with(ctx, func() { d.pending[p.key] = b })
}

// depfile returns what the depfile among the outputs names, as it does.
func (d *Desk) depfile(ctx context.Context, p *Prepared, r *action.Result) ([]string, error) {
	at := slices.Index(p.Command.Outputs, p.Command.Depfile)
	if at < 0 {
		return nil, nil
	}
	i := slices.IndexFunc(r.Outputs, func(o action.Output) bool { return "/"+o.Path == p.outputs[at] })
	if i < 0 {
		return nil, nil
	}
	text, err := store.ReadAll(ctx, d.o.Blobs, r.Outputs[i].Digest, maxDepfile)
	if err != nil {
		return nil, fmt.Errorf("what a compile read: %w", err)
	}
	return d.o.Depfile(string(text))
}

// runOf says what a run depended on that read what named names. It reports
// whether it can.
func (d *Desk) runOf(p *Prepared, named []string) (manifest.Run, bool) {
	if len(named) == 0 {
		return manifest.Run{}, false
	}
	given := make(map[string]bool, len(p.files)+len(p.answer.System)) // whether it counts
	for _, f := range p.answer.System {
		given[f] = false
	}
	read := map[string]bool{}
	for i, f := range p.files {
		given[f.Path] = true
		read[f.Path] = i < len(p.Command.Sources)
	}
	for _, f := range p.answer.Silent {
		read[f] = true
	}
	dirs := map[string]string{}
	for _, n := range named {
		f, ok := located(abs(p.dir, n), given, dirs)
		if !ok {
			d.o.Log.Debug("a compile read a file that it was not given", "path", n)
			return manifest.Run{}, false
		}
		read[f] = true
	}
	content := map[digest.Digest]bool{} // of what was read
	for _, f := range p.files {
		content[f.Digest] = content[f.Digest] || read[f.Path]
	}
	run := manifest.Run{Absent: p.answer.Absent, Dirs: p.answer.Dirs, Action: p.Action}
	for _, f := range p.files {
		if content[f.Digest] { // of two files that are alike gcc names one: see #pragma once
			run.Read = append(run.Read, manifest.File{Path: f.Path, Digest: f.Digest})
		} else {
			run.Present = append(run.Present, f.Path)
		}
	}
	for _, l := range p.answer.Links {
		run.Links = append(run.Links, manifest.Link(l))
	}
	return p.remembered(run.Clone()), true
}

// located returns which of the files that a command was given a depfile means.
// dirs are directories that were found so far.
func located(f string, given map[string]bool, dirs map[string]string) (string, bool) {
	if _, is := given[f]; is { // real paths have no dots
		return f, true
	}
	dir, base := path.Split(f)
	in, known := dirs[dir]
	if !known {
		in = realPath(dir)
		dirs[dir] = in
	}
	for _, f := range []string{path.Join(in, base), realPath(f)} {
		if _, is := given[f]; is {
			return f, true
		}
	}
	return "", false
}

// world is what there is now, for a command that was looked into: what the scan
// says, and a look where it does not.
type world struct {
	files  map[string]digest.Digest
	absent map[string]bool
	links  map[string]string
	dirs   map[string]bool
}

func worldFor(p *Prepared) manifest.World {
	if p.root == "" {
		return worldOf(p)
	}
	return movedWorld{worldOf(p), p.root}
}

func worldOf(p *Prepared) *world {
	w := &world{
		files: make(map[string]digest.Digest, len(p.files)), absent: make(map[string]bool, len(p.answer.Absent)),
		links: map[string]string{}, dirs: map[string]bool{},
	}
	for _, f := range p.files {
		w.files[f.Path] = f.Digest
	}
	for _, a := range p.answer.Absent {
		w.absent[a] = true
	}
	for _, l := range p.answer.Links {
		w.links[l.Path] = l.Target
	}
	for _, d := range p.answer.Dirs {
		w.dirs[d] = true
	}
	return w
}

// Content implements manifest.World.
func (w *world) Content(p string) (digest.Digest, bool) {
	d, ok := w.files[p]
	return d, ok
}

// There implements manifest.World.
func (w *world) There(p string) bool {
	if _, ok := w.files[p]; ok {
		return true
	}
	info, err := os.Lstat(p)
	return err == nil && info.Mode().IsRegular()
}

// Gone implements manifest.World. For a compiler a directory is no file.
func (w *world) Gone(p string) bool {
	if w.absent[p] {
		return true
	}
	info, err := os.Lstat(p)
	return err != nil || info.IsDir()
}

// Leads implements manifest.World.
func (w *world) Leads(p string) (string, bool) {
	if target, ok := w.links[p]; ok {
		return target, true
	}
	target, err := os.Readlink(p)
	return target, err == nil
}

// Directory implements manifest.World.
func (w *world) Directory(p string) bool {
	if w.dirs[p] {
		return true
	}
	info, err := os.Lstat(p)
	return err == nil && info.IsDir()
}
