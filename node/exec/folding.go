package exec

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// folds reports whether a directory, whose name is in lower case, is found by
// another spelling of it. The directories in it are as that which it is in.
func folds(dir string) bool {
	other := filepath.Join(filepath.Dir(dir), strings.ToUpper(filepath.Base(dir)))
	_, err := os.Lstat(other)
	return err == nil
}

// collision says what err, of making p, comes of where a file system folds names
// and has p under another.
func (d *scratchDir) collision(p string, err error) error {
	if !d.folds || !errors.Is(err, os.ErrExist) {
		return err
	}
	in, name := filepath.Split(p)
	there, unread := names(in)
	switch {
	case unread != nil:
		return unread
	case slices.Contains(there, name):
		return err
	}
	return fmt.Errorf("%w: the file system of %s takes the name %q for that of another input or directory of outputs: put the home of this node on one that tells upper case from lower", ErrUnable, d.path, name)
}

// names are those in a directory, in the order in which it is read.
func names(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}
