package exec

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/buildnet/buildnet/store/memory"
)

func TestScratchDirectoriesAreSpreadOverTheDisk(t *testing.T) {
	dir := t.TempDir()
	if _, err := New(Options{Dir: dir, Blobs: memory.New(1 << 20)}); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil || st.Type != unix.EXT4_SUPER_MAGIC {
		t.Skipf("not on ext4: %v", err)
	}
	flags, err := unix.IoctlGetUint32(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err != nil || flags&0x20000 == 0 {
		t.Errorf("flags %x, %v", flags, err)
	}
}
