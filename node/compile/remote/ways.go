package remote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/buildnet/buildnet/node/compile"
)

// maxLinks is the kernel's limit of links on a path.
const maxLinks = 40

// way is where a directory really is, the links that lead there, and the
// directories that are only gone through, to be left by "..".
type way struct {
	path  string
	links []compile.Reference
	left  []string
}

// real follows a path to a directory that is there.
func (d *Desk) real(p string) (*way, error) {
	if w := d.ways[p]; w != nil {
		return w, nil
	}
	w := &way{path: "/"}
	if err := w.walk(p); err != nil {
		return nil, err
	}
	d.ways[p] = w
	return w, nil
}

func (w *way) walk(p string) error {
	if path.IsAbs(p) {
		w.path = "/"
	}
	for name := range strings.SplitSeq(p, "/") {
		if err := w.enter(name); err != nil {
			return err
		}
	}
	return nil
}

func (w *way) enter(name string) error {
	if name == "" || name == "." {
		return nil
	}
	if name == ".." {
		w.left = append(w.left, w.path)
		w.path = path.Dir(w.path)
		return nil
	}
	at := path.Join(w.path, name)
	info, err := os.Lstat(at)
	switch {
	case err != nil:
		return err
	case info.IsDir():
		w.path = at
		return nil
	case info.Mode()&os.ModeSymlink == 0:
		return &os.PathError{Op: "enter", Path: at, Err: syscall.ENOTDIR}
	}
	target, err := os.Readlink(at)
	if err != nil {
		return err
	}
	if w.links = append(w.links, compile.Reference{Path: at, Target: target}); len(w.links) > maxLinks {
		return &os.PathError{Op: "enter", Path: at, Err: syscall.ELOOP}
	}
	return w.walk(target)
}

// realDirs returns directories by the names that they have and where they really
// are.
func (d *Desk) realDirs(dirs []string) []string {
	var out []string
	for _, dir := range dirs {
		out = append(out, dir)
		if c := path.Clean(dir); c != dir {
			out = append(out, c)
		}
		if w, err := d.real(dir); err == nil && w.path != path.Clean(dir) {
			out = append(out, w.path)
		}
	}
	return out
}

// realPath is the path of a file or directory without links; p if it is not
// there.
func realPath(p string) string {
	if q, err := filepath.EvalSymlinks(p); err == nil {
		return q
	}
	return p
}

// find returns the first file called name in a PATH that can be run, as seen
// from dir.
func find(name, searched, dir string) string {
	for in := range strings.SplitSeq(searched, ":") {
		p := abs(dir, in) + "/" + name
		if info, err := os.Stat(p); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path.Clean(p)
		}
	}
	return ""
}

// sameFile reports whether two paths lead to one file.
func sameFile(a, b string) bool {
	if a == b {
		return true
	}
	one, err := os.Stat(a)
	other, err2 := os.Stat(b)
	return errors.Join(err, err2) == nil && os.SameFile(one, other)
}

// isScript reports whether a program is read by another, as c99-gcc is.
func isScript(p string) bool {
	f, err := os.Open(p)
	if err != nil {
		return false // it may be executed and not read
	}
	defer f.Close()
	var head [2]byte
	_, err = io.ReadFull(f, head[:])
	return err == nil && string(head[:]) == "#!"
}

// family says what kind of compiler a command names, by the file that it leads to:
// cc may be any. 0 leaves it to the name.
func (d *Desk) family(ctx context.Context, r *Request, name string) (f compile.Family, err error) {
	searched, _ := r.Getenv("PATH")
	key := strings.Join([]string{name, searched, r.Dir}, "\x00")
	err = d.with(ctx, func() {
		var known bool
		if f, known = d.families[key]; known {
			return
		}
		file := abs(r.Dir, name)
		if !strings.Contains(name, "/") {
			file = find(name, searched, r.Dir)
		}
		f = compile.FamilyOf(realPath(file))
		d.families[key] = f
	})
	return f, err
}

// helpers are the programs that gcc runs and may find in PATH: the second for
// -gsplit-dwarf.
var helpers = []string{"as", "objcopy"}

// tools are the programs of a command.
type tools struct {
	compiler string // where actions find it
	why      string // they are others than here, or ""
}

// toolsOf looks for the programs of a command, once an epoch.
func (d *Desk) toolsOf(c *compile.Command, program, searched, dir string) tools {
	key := strings.Join([]string{c.Compiler, program, string(rune('0' + c.Family)), searched, dir}, "\x00")
	t, known := d.tools[key]
	if !known {
		t = d.lookForTools(c, program, searched, dir)
		d.tools[key] = t
	}
	return t
}

func (d *Desk) lookForTools(c *compile.Command, program, searched, dir string) tools {
	name := path.Base(program)
	t := tools{compiler: find(name, d.o.Path, "/")}
	if !strings.Contains(c.Compiler, "/") {
		program = find(name, searched, dir) // as the command's shell does
	}
	if !sameFile(t.compiler, program) {
		t.why = fmt.Sprintf("the compiler is %s, which is not where actions look for %s", cmp.Or(program, "nowhere in PATH"), name)
		return t
	}
	if isScript(t.compiler) {
		t.why = fmt.Sprintf("%s is a script: what it has the compiler do is not known", t.compiler)
		return t
	}
	for _, h := range helpers {
		here, there := find(h, searched, dir), find(h, d.o.Path, "/")
		if c.Family == compile.GCC && !sameFile(here, there) {
			t.why = fmt.Sprintf("PATH has %s as %s, and actions run %s", h, here, there)
		}
	}
	return t
}
