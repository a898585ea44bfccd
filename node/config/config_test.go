package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHomeIsTheOneAskedFor(t *testing.T) {
	t.Setenv("BUILDNET_HOME", "/from/environment")
	for flag, want := range map[string]string{"": "/from/environment", "/from/flag": "/from/flag"} {
		got, err := Home(flag)
		if err != nil || got != want {
			t.Errorf("Home(%q) = %q, %v, want %q", flag, got, err, want)
		}
	}
	homes, err := Homes("")
	if err != nil || len(homes) != 1 {
		t.Errorf("Homes = %v, %v: a home that was asked for is the only one", homes, err)
	}
}

func TestProjectRootIsTheNearestAbove(t *testing.T) {
	root := t.TempDir()
	deep := filepath.Join(root, "a", "b")
	inner := filepath.Join(root, "a", ".buildnet")
	for _, d := range []string{deep, inner, filepath.Join(root, ".buildnet")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, ".buildnet", "config.yaml"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := ProjectRoot(deep); err != nil || got != root {
		t.Errorf("ProjectRoot = %q, %v, want %q", got, err, root)
	}
	if err := os.WriteFile(filepath.Join(inner, "config.json"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := ProjectRoot(deep); err != nil || got != filepath.Dir(inner) {
		t.Errorf("ProjectRoot = %q, %v, want %q", got, err, filepath.Dir(inner))
	}
	if _, err := ProjectRoot(t.TempDir()); !errors.Is(err, ErrNoProject) {
		t.Errorf("outside of any project: %v, want ErrNoProject", err)
	}
}

func TestSettings(t *testing.T) {
	got, err := parseSettings([]byte("cache: {max: 2GiB}\nshare_reduced: true\ntoolchain_dirs: [/opt/cross]\ntrusted_commands: [protoc, python3 */gen.py]\nshare: 0.5\nyield: on\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := Settings{CacheMaxBytes: 2 << 30, ShareReduced: true, ToolchainDirs: []string{"/opt/cross"}, Share: 0.5, Yield: On, TrustedCommands: []string{"protoc", "python3 */gen.py"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	_, err = parseSettings([]byte("cache: {max: lots}\ntoolchain_dirs: [relative]\ntrusted_commands: [\"* *\"]\n"))
	if err == nil || !strings.Contains(err.Error(), "cache.max") || !strings.Contains(err.Error(), "toolchain_dirs") || !strings.Contains(err.Error(), "trusted_commands") {
		t.Errorf("all faults should be named: %v", err)
	}
	if _, err := parseSettings([]byte("cahce: {}\n")); err == nil {
		t.Error("an unknown key was accepted")
	}
	if s, err := LoadSettings(t.TempDir()); err != nil || !cmp.Equal(s, Settings{}) {
		t.Errorf("without a file: %+v, %v", s, err)
	}
}
