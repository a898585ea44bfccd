package toolchain

import (
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestMountTableIsReadAgainWhenItChanges(t *testing.T) {
	dir := t.TempDir()
	before := mounts()
	if before == "" || mounts() != before {
		t.Fatalf("two looks differ, or there is nothing: %q", before)
	}
	if err := syscall.Mount("none", dir, "tmpfs", 0, ""); err != nil {
		t.Skipf("mount: %v", err)
	}
	now := mounts()
	if err := syscall.Unmount(dir, 0); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(now, dir) {
		t.Error("what was mounted is not in the table")
	}
	if strings.Contains(mounts(), dir) {
		t.Error("what was unmounted is still in the table")
	}
	want, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || mounts() != string(want) {
		t.Errorf("the table is not the kernel's: %v", err)
	}
}
