package toolchain

import (
	"errors"
	"os"
	"strings"
	"sync"
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

// TestMountTableIsNotBehindWhatIsSeen mounts and unmounts while it looks: where
// nothing has changed since the look before, the table is what was seen between
// the two.
func TestMountTableIsNotBehindWhatIsSeen(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, ""); err != nil {
		t.Skipf("mount: %v", err)
	}
	var turns sync.WaitGroup
	over := make(chan struct{})
	turns.Go(func() {
		defer close(over)
		for range 300 {
			if err := errors.Join(syscall.Unmount(dir, syscall.MNT_DETACH), syscall.Mount("none", dir, "tmpfs", 0, "")); err != nil {
				t.Error(err)
				return
			}
		}
	})
	defer turns.Wait()
	for looking := true; looking; {
		select {
		case <-over:
			looking = false
		default:
		}
		text := mounts()
		mounted := isMount(t, dir)
		table.mu.Lock()
		changed, err := table.changed()
		if changed {
			table.text = "" // the change was told to this test
		}
		table.mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		if !changed && strings.Contains(text, dir) != mounted {
			t.Fatalf("mounted is %t, the table says otherwise", mounted)
		}
	}
	if err := syscall.Unmount(dir, 0); err != nil {
		t.Fatal(err)
	}
}

func isMount(t *testing.T, dir string) bool {
	t.Helper()
	var in, above syscall.Stat_t
	if err := errors.Join(syscall.Lstat(dir, &in), syscall.Lstat(dir+"/..", &above)); err != nil {
		t.Fatal(err)
	}
	return in.Dev != above.Dev
}
