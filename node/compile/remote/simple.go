package remote

import (
	"fmt"
	"path"
	"strings"

	"github.com/buildnet/buildnet/node/compile"
)

// commands returns what a request runs, one after the other, without what has
// no effect: CMake writes ": && COMMAND && :". A "cd DIR" in front changes
// where the rest works.
func (r *Request) commands() ([][]string, error) {
	all := [][]string{r.Argv}
	if r.Argv == nil {
		var simple bool
		if all, simple = compile.Commands(r.Shell); !simple {
			return nil, fmt.Errorf("%w: the shell has work in it", ErrNotCompiler)
		}
	}
	var left [][]string
	for _, argv := range all {
		switch {
		case len(argv) == 0:
			return nil, fmt.Errorf("%w: it is empty", ErrNotCompiler)
		case r.Argv == nil && (argv[0] == ":" || argv[0] == "true"):
		case r.Argv == nil && argv[0] == "cd":
			elsewhere, _ := r.Getenv("CDPATH")
			if len(left) > 0 || len(argv) != 2 || strings.HasPrefix(argv[1], "-") || argv[1] == "" || elsewhere != "" {
				return nil, fmt.Errorf("%w: the shell has work in it", ErrNotCompiler)
			}
			r.enter(argv[1])
		default:
			left = append(left, argv)
		}
	}
	if len(left) == 0 {
		return nil, fmt.Errorf("%w: it runs nothing", ErrNotCompiler)
	}
	return left, nil
}

// enter has the rest of a request work in dir, as a shell's cd does: by the
// names that lead there, and with PWD saying so where it said anything.
func (r *Request) enter(dir string) {
	from := r.Dir
	getenv := r.Getenv
	pwd, said := getenv("PWD")
	if said && path.IsAbs(pwd) && sameFile(pwd, r.Dir) {
		from = pwd
	}
	there := path.Clean(abs(from, dir))
	r.Dir = there
	r.Getenv = func(name string) (string, bool) {
		if name == "PWD" && said {
			return there, true
		}
		return getenv(name)
	}
}
