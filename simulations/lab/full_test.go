//go:build lab && linux

package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/event"
)

// smallDisk puts the host's home on a disk of its own.
func smallDisk(t *testing.T, h *Host, mib int) {
	t.Helper()
	if err := os.Mkdir(h.Home, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", h.Home, "tmpfs", 0, fmt.Sprintf("size=%dm,mode=700", mib)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		h.Kill()
		if err := syscall.Unmount(h.Home, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	if err := os.WriteFile(filepath.Join(h.Home, "node.yaml"), []byte("cache:\n  max: 10GiB\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// bulky makes a project whose steps make 16 MB each, different every time.
func bulky(t *testing.T, dir string, parts int) {
	t.Helper()
	files := map[string]string{".buildnet/config.yaml": `version: 1
packages:
  - name: big
    steps:
      - foreach: "*.txt"
        run: "sleep 0.2; head -c 16000000 /dev/urandom > {stem}.out"
        tools: [sh, sleep, head]
        outputs: ["{stem}.out"]
`}
	for i := range parts {
		files[fmt.Sprintf("%d.txt", i)] = fmt.Sprintln(dir, i)
	}
	WriteTree(t, dir, files)
}

// TestFullDisk builds what does not fit beside the store on its disk.
func TestFullDisk(t *testing.T) {
	h := New(t).Host(1)
	smallDisk(t, h, 160)
	h.Up()
	large, small := filepath.Join(h.Dir, "large"), filepath.Join(h.Dir, "small")
	bulky(t, large, 20)
	bulky(t, small, 1)
	o := h.Buildnet("build", "-C", large)
	if o.Exit != 1 || !regexp.MustCompile(`no space left|disk is full|store is full`).MatchString(o.Stdout+o.Stderr) {
		t.Errorf("what does not fit: exit status %d: %s%s", o.Exit, o.Stdout, o.Stderr)
	}
	Sound(t, h)
	if o := h.Buildnet("cache", "clear"); o.Exit != 0 {
		t.Errorf("cache clear: exit status %d: %s", o.Exit, o.Stderr)
	}
	if _, f := h.Build(small); f.Executed != 1 {
		t.Errorf("what fits: %+v", f)
	}
	if info, err := os.Stat(filepath.Join(small, "0.out")); err != nil || info.Size() != 16_000_000 {
		t.Errorf("%v, %v", info, err)
	}
	Sound(t, h)
}

// TestFullDiskOfAWorker checks that a member whose disk is full costs the
// builds of others nothing.
func TestFullDiskOfAWorker(t *testing.T) {
	l := New(t)
	h, worker := l.Host(1), l.Host(0.6)
	smallDisk(t, worker, 120)
	h.Up("--slots", "2")
	full := worker.Up("--slots", "2", "--join", Invite(t, h, "--lan"))
	Await(t, h, 2, 10*time.Second)
	dir := filepath.Join(h.Dir, "large")
	bulky(t, dir, 30)
	b, f := h.Build(dir)
	if f.Executed != 30 {
		t.Errorf("%+v", f)
	}
	t.Logf("by peer: %v", f.ByPeer)
	told := b.Until(func(e event.Event) bool {
		n, ok := e.(event.Notice)
		return ok && strings.Contains(n.Text, "full")
	})
	if f.ByPeer[full.Peer] == 0 || !told {
		t.Errorf("the worker's disk was not filled, or nobody was told: %+v", last(b.Events(), 10))
	}
	Sound(t, worker)
}
