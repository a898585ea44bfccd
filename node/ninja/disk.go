package ninja

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/buildnet/buildnet/node/project/ninja"
	"github.com/buildnet/buildnet/node/project/ninja/plan"
)

// Disk is the working tree of a build. Paths are as manifests have them;
// relative ones are from the directory of the build. Errors are worded as
// ninja words them.
type Disk interface {
	plan.Files
	// MakeDirs makes the directories above path.
	MakeDirs(path string) error
	WriteFile(path string, content []byte) error
	// Remove removes a file or an empty directory, and reports whether it was
	// there.
	Remove(path string) (bool, error)
	// Append adds data to a file, after header if the file is new or empty.
	Append(path string, header, data []byte) error
	// Replace gives a file new content in one step.
	Replace(path string, content []byte) error
	// Truncate cuts a file to size bytes.
	Truncate(path string, size int64) error
}

// tree is the Disk of a directory of this machine.
type tree struct{ dir string }

func (t tree) at(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return t.dir + "/" + path
}

// Stat follows links. A file of 1970 counts as one nanosecond newer than none.
func (t tree) Stat(path string) (int64, error) {
	info, err := os.Stat(t.at(path))
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR):
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("stat(%s): %s", path, reason(err))
	}
	return max(info.ModTime().UnixNano(), 1), nil
}

// ReadFile also reads from a pipe, as a shell makes for <(COMMAND). It does not
// wait for somebody to write to one.
func (t tree) ReadFile(path string) (string, error) {
	f, err := os.OpenFile(t.at(path), os.O_RDONLY|nonBlocking, 0)
	if err != nil {
		return "", &systemError{err}
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", &systemError{err}
	}
	var text strings.Builder
	if info.Mode().IsRegular() {
		text.Grow(int(min(info.Size(), ninja.MaxText+1)))
	}
	// What is more than that is refused by whoever reads it.
	if _, err := io.Copy(&text, io.LimitReader(f, ninja.MaxText+1)); err != nil {
		return "", &systemError{err}
	}
	if info.Mode()&fs.ModeNamedPipe != 0 && text.Len() == 0 {
		return "", errors.New("Nobody writes to this pipe") //nolint:staticcheck // as strerror has it
	}
	return text.String(), nil
}

func (t tree) MakeDirs(path string) error {
	slash := strings.LastIndexByte(path, '/')
	if slash < 0 {
		return nil
	}
	dir := strings.TrimRight(path[:slash], "/")
	if dir == "" {
		return nil
	}
	mtime, err := t.Stat(dir)
	if err != nil || mtime > 0 {
		return err
	}
	if err := t.MakeDirs(dir); err != nil {
		return err
	}
	if err := os.Mkdir(t.at(dir), 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("mkdir(%s): %s", dir, reason(err))
	}
	return nil
}

func (t tree) WriteFile(path string, content []byte) error {
	if err := os.WriteFile(t.at(path), content, 0o666); err != nil {
		return fmt.Errorf("WriteFile(%s): Unable to create file. %s", path, reason(err))
	}
	return nil
}

func (t tree) Remove(path string) (bool, error) {
	err := os.Remove(t.at(path))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("remove(%s): %s", path, reason(err))
	}
	return true, nil
}

func (t tree) Append(path string, header, data []byte) (err error) {
	f, err := os.OpenFile(t.at(path), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return &systemError{err}
	}
	defer func() {
		if e := f.Close(); err == nil && e != nil {
			err = &systemError{e}
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return &systemError{err}
	}
	if info.Size() == 0 {
		data = append(append([]byte{}, header...), data...)
	}
	if _, err := f.Write(data); err != nil {
		return &systemError{err}
	}
	return nil
}

func (t tree) Replace(path string, content []byte) error {
	temporary := t.at(path) + ".recompact"
	if err := os.WriteFile(temporary, content, 0o666); err != nil {
		return &systemError{err}
	}
	if err := os.Rename(temporary, t.at(path)); err != nil {
		return &systemError{err}
	}
	return nil
}

func (t tree) Truncate(path string, size int64) error {
	if err := os.Truncate(t.at(path), size); err != nil {
		return &systemError{err}
	}
	return nil
}

// systemError is an error of the system in C's words, without the path.
type systemError struct{ err error }

func (e *systemError) Error() string { return reason(e.err) }
func (e *systemError) Unwrap() error { return e.err }

// reason is what C's strerror says.
func reason(err error) string {
	var errno syscall.Errno
	text := err.Error()
	if errors.As(err, &errno) {
		text = errno.Error()
	}
	return strings.ToUpper(text[:1]) + text[1:]
}
