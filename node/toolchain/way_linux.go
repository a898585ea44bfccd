package toolchain

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// way opens each directory by which the kernel gets to p, which may be a link itself, and
// returns p without links before its last name. It reports whether all of them are open.
// Where one is not there, those that are there are enough.
func (w *walk) way(p string) (at string, open bool) {
	if !filepath.IsAbs(p) || filepath.Clean(p) != p || p == "/" || !w.dir("/") {
		return "", false // such names mean something else than their parts do
	}
	dir, links := "/", 0
	for todo := strings.Split(p[1:], "/"); len(todo) > 1; {
		var name string
		name, todo = todo[0], todo[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			dir = filepath.Dir(dir)
			continue
		}
		next := filepath.Join(dir, name)
		if w.dirs[next] {
			dir = next
			continue
		}
		info, err := os.Lstat(next)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return next, true
		case err != nil:
			return "", false
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(next)
			if links++; err != nil || links > maxLinks {
				return "", false
			}
			if filepath.IsAbs(target) {
				dir = "/"
			}
			todo = append(strings.Split(target, "/"), todo...)
		case !info.IsDir():
			return next, true // below a file nothing is
		case !w.dir(next):
			return "", false
		default:
			dir = next
		}
	}
	return filepath.Join(dir, filepath.Base(p)), true
}
