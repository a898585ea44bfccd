//go:build lab && linux

package lab

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestInsideVictim is what TestKilledLabIsTakenAway kills.
func TestInsideVictim(t *testing.T) {
	if os.Getenv("LAB_VICTIM") == "" {
		return
	}
	l := New(t)
	h := l.Host(0.5)
	h.Spawn("sleep", "600")
	for len(h.Processes()) == 0 {
		<-time.After(10 * time.Millisecond)
	}
	fmt.Printf("made %s %d\n", l.name, h.pids()[0])
	select {}
}

// TestKilledLabIsTakenAway kills a test process that has a lab; the next lab
// removes what it has left.
func TestKilledLabIsTakenAway(t *testing.T) {
	if rights.rootless {
		t.Skip("in a user namespace the kernel ends and unmounts all itself")
	}
	New(t) // or there is a reason why there can be none
	cmd := exec.Command(os.Args[0], "-test.run=^TestInsideVictim$")
	cmd.Env = append(os.Environ(), "LAB_VICTIM=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var name string
	var pid int
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if _, err := fmt.Sscanf(lines.Text(), "made %s %d", &name, &pid); err == nil {
			break
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	dir := filepath.Join(os.TempDir(), dirPrefix+name)
	if _, err := os.Stat(dir); name == "" || err != nil {
		t.Fatalf("the victim left nothing: %q %v", name, err)
	}
	l := New(t)
	if _, err := os.Stat(dir); err == nil {
		t.Errorf("%s is left", dir)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(l.cgroup), name)); err == nil {
		t.Errorf("the cgroup %s is left", name)
	}
	if mounts, _ := os.ReadFile("/proc/self/mountinfo"); strings.Contains(string(mounts), name+"/") {
		t.Errorf("namespaces are left: %s", mounts)
	}
	if raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && strings.Contains(string(raw), "sleep\x00600") {
		t.Errorf("process %d is left", pid)
	}
}
