//go:build lab && linux

package lab

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TwoCompilers are the usual gcc and one of another version for the same machine.
func TwoCompilers(t testing.TB) (usual, other string) {
	t.Helper()
	usual, err := filepath.EvalSymlinks("/usr/bin/gcc")
	if err != nil {
		t.Skip("there is no /usr/bin/gcc")
	}
	found, _ := filepath.Glob(strings.TrimRight(usual, "0123456789") + "[0-9][0-9]")
	for _, file := range found {
		if gcc, err := filepath.EvalSymlinks(file); err == nil && gcc != usual {
			return usual, gcc
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatal("there is one version of gcc alone; .ci/deps --tests installs another")
	}
	t.Skip("there is one version of gcc alone; .ci/deps --tests installs another")
	return "", ""
}
