//go:build lab && linux

package lab

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// fetchScript makes the example project that `make demo` builds.
const fetchScript = "../../docs/examples/zstd/fetch"

// Project makes a copy of the demo project at dir. The optimiser is off, so
// that it builds in a quarter of the time.
func Project(t *testing.T, dir string) {
	t.Helper()
	script, err := filepath.Abs(fetchScript)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := run(script, dir); err != nil {
		t.Fatalf("fetch the example project: %v: %s", err, out)
	}
	Edit(t, filepath.Join(dir, ".buildnet/config.yaml"), "-O2", "-O0")
}

// WriteTree writes files, by their paths in dir.
func WriteTree(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// Edit replaces text in a file.
func Edit(t *testing.T, file, old, with string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(content, []byte(old)) {
		t.Fatalf("%s does not contain %q", file, old)
	}
	if err := os.WriteFile(file, bytes.ReplaceAll(content, []byte(old), []byte(with)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Outputs returns the SHA-256 of everything that a build of the demo project
// made in dir, by path.
func Outputs(t *testing.T, dir string) map[string]string {
	t.Helper()
	sums := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		if !strings.HasSuffix(rel, ".o") && !strings.HasSuffix(rel, ".a") && !strings.Contains(rel, "bin/") && !strings.HasSuffix(rel, ".txt") {
			return nil
		}
		content, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(content)
		sums[rel] = hex.EncodeToString(sum[:])
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(sums) < 40 {
		t.Fatalf("only %d outputs in %s: %v", len(sums), dir, slices.Sorted(maps.Keys(sums)))
	}
	return sums
}

// SameOutputs checks that two trees hold the same outputs, byte for byte.
func SameOutputs(t *testing.T, got, want map[string]string) {
	t.Helper()
	for path, sum := range want {
		if got[path] != sum {
			t.Errorf("%s differs", path)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d outputs, want %d", len(got), len(want))
	}
}
