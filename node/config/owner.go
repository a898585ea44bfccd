package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
)

// CheckShare says what is wrong with a share of this machine.
func CheckShare(share float64) error {
	if !(share > 0 && share <= 1) {
		return fmt.Errorf("share: %v is not a part of this machine; write it like 0.5, and at most 1", share)
	}
	return nil
}

// Check says what is wrong with the value of the setting yield.
func (s Switch) Check() error {
	if s != Unset && s != On && s != Off {
		return fmt.Errorf("yield: %q is neither on nor off", string(s))
	}
	return nil
}

// Owner is what an owner sets while the node runs. What is zero stays as it is.
type Owner struct {
	Share float64
	Yield Switch
}

// SaveOwner writes o to node.yaml in home, and leaves what else is in it as it
// is.
func SaveOwner(home string, o Owner) error {
	path := filepath.Join(home, settingsName)
	raw, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("change the settings: %w", err)
	}
	want, err := parseSettings(raw)
	if err != nil {
		return fmt.Errorf("change the settings %s: %w", path, err)
	}
	if o.Share != 0 {
		want.Share = o.Share
		raw = setLine(raw, "share", strconv.FormatFloat(o.Share, 'g', -1, 64))
	}
	if o.Yield != Unset {
		want.Yield = o.Yield
		raw = setLine(raw, "yield", string(o.Yield))
	}
	got, err := parseSettings(raw)
	if err != nil || got.Share != want.Share || got.Yield != want.Yield {
		return fmt.Errorf("change the settings: %s is written in a way that only you can change: write share and yield into it", path)
	}
	return replace(path, raw)
}

// setLine gives a key at the top of a YAML text a value on its line, or a line.
func setLine(text []byte, key, value string) []byte {
	line := regexp.MustCompile(`(?m)^` + key + `[ \t]*:[^#\n]*?([ \t]*(?:#.*)?)$`)
	if line.Match(text) {
		return line.ReplaceAll(text, []byte(key+": "+value+"$1"))
	}
	if n := len(text); n > 0 && text[n-1] != '\n' {
		text = append(text, '\n')
	}
	return append(text, key+": "+value+"\n"...)
}

// replace writes a file whole, or not at all. It stays where a link leads, and
// whoever could read it still can.
func replace(path string, content []byte) error {
	mode := fs.FileMode(0o600)
	if led, err := filepath.EvalSymlinks(path); err == nil {
		path = led
	}
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+settingsName)
	if err != nil {
		return fmt.Errorf("change the settings: %w", err)
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("change the settings: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}
