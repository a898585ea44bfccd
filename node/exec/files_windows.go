package exec

import (
	"io/fs"
	"os"
	"time"
)

func setTime(p string, t time.Time) error { return os.Chtimes(p, t, t) }

func create(p string, mode fs.FileMode) (*os.File, error) {
	return os.OpenFile(p, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
}

func mine(fs.FileInfo) bool { return true }

func (s *scratchDirs) room() bool { return true }
