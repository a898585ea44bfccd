package storetest

import (
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Scope is which files of a FailingFS fail.
type Scope uint8

const (
	// OwnFiles are those that the store writes itself.
	OwnFiles Scope = iota
	// AllFiles are pebble's too.
	AllFiles
)

// FailingFS is a file system on which writes to, and creations of, files fail
// on cue.
type FailingFS struct {
	vfs.FS
	Scope Scope

	mu  sync.Mutex
	err error
	// after counts down the bytes that may still be written.
	after int64
}

// Fail makes writes fail with err (EIO, ENOSPC) once n more bytes were written;
// nil ends that.
func (f *FailingFS) Fail(err syscall.Errno, n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err, f.after = nil, n
	if err != 0 {
		f.err = err
	}
}

func (f *FailingFS) spend(n int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		return nil
	}
	if f.after -= int64(n); f.after < 0 {
		return f.err
	}
	return nil
}

// Create implements vfs.FS.
func (f *FailingFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if category != vfs.WriteCategoryUnspecified && f.Scope == OwnFiles {
		return f.FS.Create(name, category) // pebble's own
	}
	if err := f.spend(0); err != nil {
		return nil, err
	}
	file, err := f.FS.Create(name, category)
	if err != nil {
		return nil, err
	}
	return &failingFile{File: file, fs: f}, nil
}

type failingFile struct {
	vfs.File
	fs *FailingFS
}

// Write implements io.Writer.
func (f *failingFile) Write(p []byte) (int, error) {
	if err := f.fs.spend(len(p)); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}
