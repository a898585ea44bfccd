package disk

import (
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// pebble hands its log to the system and to the disk in one, when a write is to be
// synced. For most of what is kept here the first will do: it outlives this process,
// and what a machine that stops uncleanly loses is made again. So syncs of the log
// reach the disk while somebody writes what has to last, and otherwise hand over
// what there is.

// walCategory is what pebble calls its log.
const walCategory = "pebble-wal"

// walFS is a file system on which pebble's log is a walFile.
type walFS struct {
	vfs.FS
	lasting *atomic.Int64 // writes that have to last, and go on
}

// Unwrap implements vfs.FS.
func (f walFS) Unwrap() vfs.FS { return f.FS }

// Create implements vfs.FS.
func (f walFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.Create(name, category)
	return f.wrap(file, category), err
}

// ReuseForWrite implements vfs.FS.
func (f walFS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.ReuseForWrite(oldname, newname, category)
	return f.wrap(file, category), err
}

func (f walFS) wrap(file vfs.File, category vfs.DiskWriteCategory) vfs.File {
	if file == nil || category != walCategory {
		return file
	}
	return &walFile{File: file, lasting: f.lasting}
}

// walFile is a log. One goroutine of pebble writes and syncs it.
type walFile struct {
	vfs.File
	lasting *atomic.Int64
	// owed says that a sync was left out since the last one.
	owed atomic.Bool
}

// Sync implements vfs.File.
func (f *walFile) Sync() error {
	if f.lasting.Load() == 0 {
		f.owed.Store(true)
		return nil
	}
	f.owed.Store(false)
	return f.File.Sync()
}

// SyncData implements vfs.File.
func (f *walFile) SyncData() error {
	if f.lasting.Load() == 0 {
		f.owed.Store(true)
		return nil
	}
	f.owed.Store(false)
	return f.File.SyncData()
}

// Close implements vfs.File. A log that another follows has to be whole.
func (f *walFile) Close() error {
	if f.owed.Load() {
		if err := f.File.Sync(); err != nil {
			_ = f.File.Close()
			return err
		}
	}
	return f.File.Close()
}

// last makes a write that is on the disk when it returns.
func (s *Store) last(write func(*pebble.WriteOptions) error) error {
	s.lasting.Add(1)
	defer s.lasting.Add(-1)
	return write(pebble.Sync)
}
