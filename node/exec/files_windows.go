package exec

import (
	"io/fs"
	"os"
)

func setTime(p string) error { return os.Chtimes(p, fixedTime, fixedTime) }

func mine(fs.FileInfo) bool { return true }

func (s *scratchDirs) room() bool { return true }
