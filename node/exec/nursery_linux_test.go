package exec_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/exec"
)

// below are the processes whose parent is any thread of pid.
func below(t *testing.T, pid string) (all []int) {
	t.Helper()
	files, err := filepath.Glob("/proc/" + pid + "/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, _ := os.ReadFile(f)
		for _, field := range strings.Fields(string(text)) {
			n, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, n)
		}
	}
	return all
}

// nurseryOf is the process that a rig's sandboxes are forked from, which is the
// only child of this one.
func nurseryOf(t *testing.T) int {
	t.Helper()
	all := below(t, "self")
	if len(all) != 1 {
		t.Fatalf("%d children, want one", len(all))
	}
	return all[0]
}

func TestAnotherNurseryComesAfterOneThatDied(t *testing.T) {
	r := sandboxed(t)
	r.must(sh("true"))
	first := nurseryOf(t)
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, 5*time.Second, "it is dead", func() bool {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(first) + "/stat")
		return err != nil || strings.Contains(string(stat), ") Z ")
	})
	r.must(sh("true"))
	if second := nurseryOf(t); second == first {
		t.Error("the same nursery")
	}
	r.Close()
	if left := below(t, "self"); len(left) > 0 {
		t.Errorf("%d processes are left of a closed executor", len(left))
	}
}

func TestActionsGoOnWithoutTheirNursery(t *testing.T) {
	r := sandboxed(t)
	r.must(sh("true"))
	pid := nurseryOf(t)
	kill := func() { _ = syscall.Kill(pid, syscall.SIGKILL) }
	result, err := r.Execute(t.Context(), exec.Request{Action: r.action(sh("sleep 0.3; echo here")), Name: "test"}, kill)
	if err != nil || r.stdout(result) != "here\n" {
		t.Errorf("result %+v, %v", result, err)
	}
}

func TestNothingOfActionsStaysInTheNursery(t *testing.T) {
	r := sandboxed(t)
	for range 3 {
		r.must(sh("true"))
	}
	eventually(t, 5*time.Second, "all are waited for", func() bool { return len(below(t, strconv.Itoa(nurseryOf(t)))) == 0 })
}

func TestSignalsOfACommandAreAsUsual(t *testing.T) {
	r := sandboxed(t)
	text := r.stdout(r.must(sh("grep -E '^Sig(Blk|Ign)' /proc/self/status")))
	if want := "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n"; text != want {
		t.Errorf("signals %q, want %q", text, want)
	}
}
