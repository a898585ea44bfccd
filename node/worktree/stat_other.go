//go:build !linux && !darwin

package worktree

import (
	"io/fs"
	"os"
	"path/filepath"
)

const openFlags = os.O_RDONLY

func statOf(info fs.FileInfo) Stat {
	s := Stat{Size: info.Size(), ModTime: info.ModTime().UnixNano()}
	switch {
	case info.Mode().IsRegular():
		s.Kind, s.Executable = Regular, info.Mode()&0o100 != 0
	case info.IsDir():
		s.Kind = Directory
	case info.Mode()&fs.ModeSymlink != 0:
		s.Kind = Symlink
	default:
		s.Kind = Other
	}
	return s
}

// statIn returns the stat of name in the open directory.
func statIn(dir *os.File, name string) (Stat, error) {
	path := filepath.Join(dir.Name(), name)
	info, err := os.Lstat(path)
	if err != nil {
		return Stat{}, err
	}
	s := statOf(info)
	if s.Kind == Symlink {
		target, err := os.Readlink(path)
		if err != nil {
			return Stat{}, err
		}
		s.Target = filepath.ToSlash(target)
	}
	return s, nil
}

// statPath returns the stat of an absolute path, without a link's target.
func statPath(p string) (Stat, error) {
	info, err := os.Lstat(p)
	if err != nil {
		return Stat{}, err
	}
	return statOf(info), nil
}

// statFile returns the stat of an open file.
func statFile(f *os.File) (Stat, error) {
	info, err := f.Stat()
	if err != nil {
		return Stat{}, err
	}
	return statOf(info), nil
}

// alive reports whether a process with this ID runs: nobody knows here, so a
// temporary file is kept until it is old.
func alive(int) bool { return true }
