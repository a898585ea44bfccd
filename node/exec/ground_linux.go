package exec

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"

	"github.com/buildnet/buildnet/node/exec/child"
	"github.com/buildnet/buildnet/sched/action"
)

// ground is how the inputs of an action whose root is that of the file system
// come to be at their own places: what is mounted there, and which files of the
// machine stand for inputs.
type ground struct {
	binds  []string
	needed []string
	hidden []string
	mounts []child.Mount
	seen   []sighting
}

// Places that a sandbox makes itself. Inputs cannot be at the first, and only
// below the second.
var (
	barredPlaces = []string{"/buildnet", "/dev", "/etc/group", "/etc/hosts", "/etc/passwd", "/proc", "/sys"}
	openPlaces   = []string{"/", "/etc", "/run", "/var"}
)

// maxMounts bounds the places of an action's inputs: each costs the kernel some
// 20 us.
const maxMounts = 1000

// planner lays out the inputs of one action. Below an open place they are
// mounted as a whole; where the machine has a directory that actions see, they
// are compared with what is in it.
type planner struct {
	*ground
	machine *machine
	forest  *forest
	layout  *layout
	// foreign says that the action is another user than this process.
	foreign bool
	// own are directories of which nothing of the machine is seen, none within
	// another, and written those that the action may write to. Both are absolute.
	own, written []string
}

// floor is a directory of the machine that inputs are in as well.
type floor struct {
	at     string // in the sandbox
	host   string
	stamp  stamp
	inputs *spot
	// layered says that what is laid out is shown over it.
	layered bool
}

// ownPlaces lays out the inputs of an action whose root is that of the file
// system.
func (e *Executor) ownPlaces(ctx context.Context, j *job, l *layout) (*ground, error) {
	binds, needed := e.binds(j)
	outer, hidden, err := cover(binds, needed, e.opts.Hidden)
	if err != nil {
		return nil, err
	}
	p := &planner{
		ground: &ground{binds: outer, needed: needed, hidden: hidden}, machine: e.machine,
		forest: newForest(e.opts.Blobs, j.root), layout: l, foreign: l.dir.owner >= 0,
	}
	absent, err := p.prepare(ctx, j)
	if err != nil {
		return nil, err
	}
	if err := p.outsideOf(ctx, e.opts.Hidden); err != nil {
		return nil, err
	}
	if err := p.open(ctx, p.forest.root, "/"); err != nil {
		return nil, err
	}
	p.hidden = slices.DeleteFunc(p.hidden, func(h string) bool { return !p.sees(h) })
	return p.ground, l.finish(absent)
}

// unchanged returns an error if a file of the machine that stood for an input is
// another now.
func (g *ground) unchanged() error {
	if g == nil {
		return nil
	}
	if p, ok := unchanged(g.seen); !ok {
		return fmt.Errorf("%s was changed while the action ran: run it again", p)
	}
	return nil
}

// prepare puts the directories that the action wants into the tree, and returns
// those that are not among the inputs.
func (p *planner) prepare(ctx context.Context, j *job) (absent []string, err error) {
	for _, o := range j.outputs {
		if dir := path.Join("/", path.Dir(o)); slices.Contains(openPlaces, dir) {
			return nil, fmt.Errorf("%w: output /%s would be in %s itself, which belongs to the sandbox: make it in a directory of the project", ErrMalformed, o, dir)
		}
	}
	for _, d := range j.written() {
		p.written = append(p.written, path.Join("/", d))
	}
	for _, d := range slices.Concat(p.written, j.exact) {
		has, err := p.forest.mkdir(ctx, d)
		if err != nil {
			return nil, err
		}
		if !has && d != "/" {
			absent = append(absent, d[1:])
		}
	}
	p.claim(append(slices.Clone(projects), j.exact...))
	return absent, nil
}

// projects are directories within those that every action sees where no
// toolchain is, but people keep what they build.
var projects = []string{"/usr/local/src", "/usr/src"}

// claim finds the directories of which nothing of the machine is seen: those
// given, and around what is written to.
func (p *planner) claim(dirs []string) {
	for _, w := range p.written {
		for _, b := range p.binds {
			if within(w, b) {
				dirs = append(dirs, projectOf(w, b))
			}
		}
	}
	slices.Sort(dirs)
	for _, d := range dirs {
		if !slices.ContainsFunc(p.own, func(o string) bool { return within(d, o) }) {
			p.own = append(p.own, d)
		}
	}
}

// common are directories that more than one project or program is in.
var common = []string{"bin", "include", "lib", "lib32", "lib64", "libexec", "libx32", "local", "sbin", "share", "src"}

// projectOf returns the outermost directory above dir, or dir, that is within
// bind and is not common to many.
func projectOf(dir, bind string) string {
	at := bind
	for name := range elements(strings.TrimPrefix(dir, bind)) {
		if at = path.Join(at, name); !slices.Contains(common, name) {
			break
		}
	}
	return at
}

// outsideOf refuses inputs in directories that no action sees.
func (p *planner) outsideOf(ctx context.Context, hidden []string) error {
	for _, h := range hidden {
		target, err := filepath.EvalSymlinks(h)
		if err != nil {
			target = h
		}
		for _, at := range slices.Compact([]string{h, target}) {
			parent, _, _, err := p.forest.find(ctx, p.forest.root, at)
			if err != nil {
				return err
			}
			if parent != nil {
				return fmt.Errorf("%w: inputs or outputs in %s, which is the home of this node", ErrUnable, at)
			}
		}
	}
	return nil
}

// sees reports whether an action sees what the machine has at a path.
func (p *planner) sees(host string) bool {
	if slices.ContainsFunc(p.mounts, func(m child.Mount) bool { return m.Kind == child.Replace && within(host, m.To) }) {
		return false
	}
	return slices.ContainsFunc(p.binds, func(b string) bool { return within(host, b) })
}

func (p *planner) writable(dir string) bool {
	return slices.ContainsFunc(p.written, func(w string) bool { return within(w, dir) })
}

func (p *planner) mount(m child.Mount) error {
	if len(p.mounts) == maxMounts {
		return fmt.Errorf("%w: inputs at more than %d places", ErrMalformed, maxMounts)
	}
	p.mounts = append(p.mounts, m)
	return nil
}

// open mounts what is below an open place.
func (p *planner) open(ctx context.Context, s *spot, at string) error {
	if err := p.forest.load(ctx, s); err != nil {
		return err
	}
	for _, name := range s.names() {
		if err := p.enter(ctx, s, name, path.Join(at, name)); err != nil {
			return err
		}
	}
	return nil
}

func (p *planner) enter(ctx context.Context, s *spot, name, at string) error {
	switch {
	case slices.Contains(barredPlaces, at):
		return fmt.Errorf("%w: an input or output at %s, which the sandbox makes itself", ErrMalformed, at)
	case slices.Contains(openPlaces, at):
		if s.leaf(name) {
			return fmt.Errorf("%w: input %s is no directory", ErrMalformed, at)
		}
		return p.open(ctx, s.dirs[name], at)
	case slices.Contains(p.binds, at):
		return p.bound(ctx, s, name, at)
	default:
		return p.place(ctx, s, name, at)
	}
}

// place mounts a part of the inputs where the machine shows nothing, or nothing
// any more. What it shows below that is compared.
func (p *planner) place(ctx context.Context, s *spot, name, at string) error {
	inner, err := p.boundBelow(ctx, at)
	if err != nil {
		return err
	}
	m := child.Mount{Kind: child.Place, From: p.laidAt(at), To: at, Writable: !s.leaf(name)}
	if l := s.links[name]; l != nil {
		m.Kind, m.From = child.Link, l.GetTarget()
	} else if err := p.lay(ctx, s, name, at); err != nil {
		return err
	}
	if err := p.mount(m); err != nil {
		return err
	}
	for _, f := range inner {
		if err := p.over(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// boundBelow returns the directories that every action sees, below a place of
// inputs, in which inputs are as well: these are not laid out with the others.
// What the machine has where inputs are something else gives way.
func (p *planner) boundBelow(ctx context.Context, at string) ([]floor, error) {
	var inner []floor
	for _, b := range slices.Clone(p.binds) {
		if b == at || !within(b, at) {
			continue
		}
		parent, name, barred, err := p.forest.find(ctx, p.forest.root, b)
		if err != nil {
			return nil, err
		}
		if !barred && parent == nil {
			continue
		}
		if !barred && parent.dirs[name] != nil {
			if f := p.floorAt(b); f.stamp.isDir() {
				f.inputs = parent.dirs[name]
				p.layout.skip[p.laidAt(b)] = true
				inner = append(inner, f)
				continue
			}
		}
		p.unbind(b)
	}
	return inner, nil
}

// unbind keeps the action from seeing what the machine has at a path.
func (p *planner) unbind(at string) {
	p.binds = slices.DeleteFunc(p.binds, func(b string) bool { return b == at })
}

// floorAt is what every action sees at a path.
func (p *planner) floorAt(at string) floor {
	f := floor{at: at, host: at}
	if slices.Contains(p.needed, at) { // then it is a directory, by whatever link
		if target, err := filepath.EvalSymlinks(at); err == nil {
			f.host = target
		}
	}
	f.stamp = look(f.host)
	return f
}

// bound compares an input with what every action sees at its place. If these are
// two kinds of things, the machine's gives way.
func (p *planner) bound(ctx context.Context, s *spot, name, at string) error {
	f := p.floorAt(at)
	if f.inputs = s.dirs[name]; f.inputs != nil && f.stamp.isDir() {
		return p.over(ctx, f)
	}
	same, err := p.agrees(s, name, f.host, f.stamp)
	if err != nil || same {
		return err
	}
	p.unbind(at)
	return p.place(ctx, s, name, at)
}

// over lets inputs be seen in a directory of the machine: those that it has
// stay, the others are laid over it.
func (p *planner) over(ctx context.Context, f floor) error {
	if slices.Contains(p.own, f.at) {
		return p.replace(ctx, f)
	}
	if err := p.forest.load(ctx, f.inputs); err != nil {
		return err
	}
	var below []floor
	var clash []string
	for _, name := range f.inputs.names() {
		sub := floor{at: path.Join(f.at, name), host: path.Join(f.host, name), inputs: f.inputs.dirs[name]}
		sub.stamp = look(sub.host)
		same, err := p.agrees(f.inputs, name, sub.host, sub.stamp)
		switch {
		case err != nil:
			return err
		case !same:
			clash = append(clash, name)
		case sub.inputs != nil:
			below = append(below, sub)
		}
	}
	if err := p.layer(ctx, &f, clash); err != nil {
		return err
	}
	for _, sub := range below {
		sub.layered = f.layered
		if f.layered && sub.stamp.dev != f.stamp.dev {
			return fmt.Errorf("%w: inputs differ from %s, in which %s is another file system", ErrUnable, f.at, sub.at)
		}
		if err := p.over(ctx, sub); err != nil {
			return err
		}
	}
	return nil
}

// layer shows inputs over a directory of the machine that does not have them.
func (p *planner) layer(ctx context.Context, f *floor, names []string) error {
	if len(names) == 0 {
		return nil
	}
	if !f.layered {
		f.layered = true
		if err := p.mount(child.Mount{Kind: child.Layer, From: p.laidAt(f.at), To: f.at}); err != nil {
			return err
		}
	}
	for _, name := range names {
		at := path.Join(f.at, name)
		if err := p.lay(ctx, f.inputs, name, at); err != nil {
			return err
		}
		if err := p.unlock(ctx, at); err != nil {
			return err
		}
	}
	return nil
}

// unlock makes writable what the action may write to at or below a part of a
// layer, which is read-only. It must not be behind a link of the inputs, which
// leads anywhere as long as the sandbox is being made.
func (p *planner) unlock(ctx context.Context, at string) error {
	for _, o := range p.own {
		if !within(o, at) || !p.writable(o) {
			continue
		}
		parent, name, _, err := p.forest.find(ctx, p.forest.root, o)
		if err != nil {
			return err
		}
		if parent == nil || parent.leaf(name) {
			continue
		}
		if err := p.mount(child.Mount{Kind: child.Replace, From: p.laidAt(o), To: o, Writable: true}); err != nil {
			return err
		}
	}
	return nil
}

// replace shows inputs in the place of a directory of the machine.
func (p *planner) replace(ctx context.Context, f floor) error {
	if err := p.layDirectory(ctx, f.inputs, f.at); err != nil {
		return err
	}
	return p.mount(child.Mount{Kind: child.Replace, From: p.laidAt(f.at), To: f.at, Writable: p.writable(f.at)})
}

// agrees reports whether the machine has at host, whose stamp is now, what the
// inputs call name. Of directories it says so without a look into them.
func (p *planner) agrees(s *spot, name, host string, now stamp) (bool, error) {
	switch {
	case s.files[name] != nil:
		return p.same(s.files[name], host, now)
	case s.links[name] != nil:
		if !now.isLink() {
			return false, nil
		}
		target, err := os.Readlink(host)
		return err == nil && target == s.links[name].GetTarget(), nil
	default:
		return now.isDir() && (!p.foreign || now.readable()), nil
	}
}

// same reports whether the action may have a file of the machine for an input.
func (p *planner) same(n *repb.FileNode, host string, now stamp) (bool, error) {
	d, err := action.DigestOf(n.GetDigest())
	if err != nil {
		return false, fmt.Errorf("%w: file %s: %w", ErrMalformed, n.GetName(), err)
	}
	if !now.isFile() || now.executable() != n.GetIsExecutable() || p.foreign && !now.readable() {
		return false, nil
	}
	seen, ok := p.machine.holds(host, now, d)
	if ok {
		p.seen = append(p.seen, seen)
	}
	return ok, nil
}

// laidAt is where an input with that place is in the scratch directory.
func (p *planner) laidAt(at string) string { return filepath.Join(p.layout.dir.work.path, at) }

// lay lays out what s calls name.
func (p *planner) lay(ctx context.Context, s *spot, name, at string) error {
	if d := s.dirs[name]; d != nil {
		return p.layDirectory(ctx, d, at)
	}
	dir := path.Dir(at)
	if err := p.mkdirs(dir); err != nil {
		return err
	}
	if f := s.files[name]; f != nil {
		return p.layout.file(ctx, f, site{path: p.laidAt(dir)})
	}
	return p.layout.link(s.links[name], site{path: p.laidAt(dir)})
}

func (p *planner) layDirectory(ctx context.Context, s *spot, at string) error {
	if err := p.mkdirs(at); err != nil {
		return err
	}
	if s.digest.IsZero() {
		return setTime(p.laidAt(at), fixedTime)
	}
	return p.layout.directory(ctx, s.digest, site{path: p.laidAt(at)}, s.depth)
}

// mkdirs makes a directory and those above it, which no link of the inputs is
// among.
func (p *planner) mkdirs(at string) error {
	made := p.layout.dir.work.path
	for name := range elements(at) {
		made = filepath.Join(made, name)
		if err := p.layout.dir.mkdir(made); err != nil && !os.IsExist(err) {
			return err
		}
	}
	return nil
}
