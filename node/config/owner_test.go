package config

import (
	"os"
	"path/filepath"
	"testing"
)

func TestSaveOwnerLeavesTheRestAsItIs(t *testing.T) {
	for name, c := range map[string]struct{ before, after string }{
		"no file": {"", "share: 0.25\nyield: on\n"},
		"others":  {"# mine\ncache: {max: 2GiB}", "# mine\ncache: {max: 2GiB}\nshare: 0.25\nyield: on\n"},
		"changed": {
			"share:   0.5   # at night\nshare_reduced: true\nyield: off\n",
			"share: 0.25   # at night\nshare_reduced: true\nyield: on\n",
		},
	} {
		home := t.TempDir()
		path := filepath.Join(home, settingsName)
		if c.before != "" {
			if err := os.WriteFile(path, []byte(c.before), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := SaveOwner(home, Owner{Share: 0.25}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := SaveOwner(home, Owner{Yield: On}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != c.after {
			t.Errorf("%s: %q, %v, want %q", name, got, err, c.after)
		}
		if s, err := LoadSettings(home); err != nil || s.Share != 0.25 || s.Yield != On {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
}

func TestSaveOwnerKeepsWhoMayReadTheFileAndWhereItIs(t *testing.T) {
	home, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "mine.yaml")
	if err := os.WriteFile(elsewhere, []byte("share: 0.5\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(elsewhere, 0o640); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(home, settingsName)
	if err := os.Symlink(elsewhere, path); err != nil {
		t.Fatal(err)
	}
	if err := SaveOwner(home, Owner{Share: 0.25}); err != nil {
		t.Fatal(err)
	}
	if to, err := os.Readlink(path); err != nil || to != elsewhere {
		t.Errorf("it leads to %q: %v", to, err)
	}
	info, err := os.Stat(elsewhere)
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", info, err)
	}
	if got, err := os.ReadFile(elsewhere); err != nil || string(got) != "share: 0.25\n" {
		t.Errorf("it says %q: %v", got, err)
	}
}

func TestSaveOwnerKeepsAFileThatItCannotChange(t *testing.T) {
	for _, text := range []string{"{share: 0.5}\n", "cahce: 1\n", "\"share\": 0.5\n"} {
		home := t.TempDir()
		path := filepath.Join(home, settingsName)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := SaveOwner(home, Owner{Share: 0.25}); err == nil {
			t.Errorf("%q was changed", text)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != text {
			t.Errorf("it is %q now, was %q: %v", got, text, err)
		}
	}
}

func TestSettingsOfTheOwnerAreChecked(t *testing.T) {
	for _, text := range []string{"share: 0\n", "share: 1.1\n", "share: -1\n", "share: .nan\n", "yield: maybe\n"} {
		if s, err := parseSettings([]byte(text)); err == nil {
			t.Errorf("%q is %+v", text, s)
		}
	}
}
