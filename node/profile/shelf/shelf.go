// Package shelf keeps the profiles of a machine's owner in the node's home, and
// which of them its builds use. It reads and writes files. Start reading at
// Shelf.
package shelf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/buildnet/buildnet/node/profile"
)

const (
	dirName = "profiles"
	// usedName is a file with the name of a profile in it.
	usedName = "profile"
	suffix   = ".yaml"
	// maxProfiles bounds what a home holds, so that a list has an end.
	maxProfiles = 200
)

// Shelf is that of one home. Its methods may be called concurrently.
type Shelf struct{ home string }

// New returns the shelf of a home.
func New(home string) *Shelf { return &Shelf{home} }

func (s *Shelf) file(name string) string { return filepath.Join(s.home, dirName, name+suffix) }

// Source returns the text of a profile, or profile.ErrUnknown.
func (s *Shelf) Source(name string) ([]byte, error) {
	src, err := os.ReadFile(s.file(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%q: %w", name, profile.ErrUnknown)
	}
	if err != nil {
		return nil, fmt.Errorf("read profile: %w", err)
	}
	return src, nil
}

// Names are those of the profiles, sorted.
func (s *Shelf) Names() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(s.home, dirName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list profiles: %w", err)
	}
	var names []string
	for _, e := range entries {
		name, is := strings.CutSuffix(e.Name(), suffix)
		if is && profile.CheckName(name) == nil && len(names) < maxProfiles {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Save keeps a profile's file, in the place of one of the same name.
func (s *Shelf) Save(p profile.Profile, src []byte) error {
	names, err := s.Names()
	if err != nil {
		return err
	}
	if len(names) >= maxProfiles && !slices.Contains(names, p.Name) {
		return fmt.Errorf("save profile %s: there are %d already; remove one of %s", p.Name, len(names), filepath.Join(s.home, dirName))
	}
	return write(s.file(p.Name), src)
}

// Use makes the node's builds use a profile; "" ends that.
func (s *Shelf) Use(name string) error {
	at := filepath.Join(s.home, usedName)
	if name != "" {
		return write(at, []byte(name+"\n"))
	}
	if err := os.Remove(at); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("use no profile: %w", err)
	}
	return nil
}

// Used returns the name of the profile that the node's builds use, or "".
func (s *Shelf) Used() (string, error) {
	text, err := os.ReadFile(filepath.Join(s.home, usedName))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read which profile is used: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// write replaces a file, whole or not at all.
func write(path string, content []byte) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("write %s: %w", path, err)
		}
	}()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
