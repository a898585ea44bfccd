//go:build lab && linux

package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	sharedHome = "/var/lib/buildnet"
	// somebody is a user who is not the node's, and members is the group that
	// may use the node's socket.
	somebody, members = 65534, 64242
)

// shared makes the host's own home the machine's, open to a group.
func shared(t *testing.T, h *Host) {
	t.Helper()
	if err := os.Mkdir(sharedHome, 0o700); err == nil {
		t.Cleanup(func() { _ = os.Remove(sharedHome) })
	} else if !os.IsExist(err) {
		t.Fatal(err)
	}
	if err := os.Mkdir(h.Home, 0o700); err != nil {
		t.Fatal(err)
	}
	groups, err := os.ReadFile("/etc/group")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(h.Dir, "group")
	if err := os.WriteFile(file, fmt.Appendf(groups, "buildnet:x:%d:\n", members), 0o644); err != nil {
		t.Fatal(err)
	}
	h.Bind(file, "/etc/group")
	h.Bind(h.Home, sharedHome)
	// The test's directory is its owner's alone; others must get through.
	for d := h.Dir; d != os.TempDir(); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// as runs a command of the binary as somebody, of the groups.
func as(h *Host, groups string, args ...string) Outcome {
	own := filepath.Join(h.Dir, "somebody")
	prefix := []string{"setpriv", "--reuid", fmt.Sprint(somebody), "--regid", fmt.Sprint(somebody), groups, "--inh-caps=-all",
		"env", "-u", "BUILDNET_HOME", "-u", "XDG_STATE_HOME", "HOME=" + own, Binary(h.t)}
	return h.run(append(prefix, args...)...)
}

// TestNodeOfRootServesAGroup builds a tree that is nobody's but the user's on
// a node that root runs.
func TestNodeOfRootServesAGroup(t *testing.T) {
	needUsers(t)
	h := New(t).Host(1)
	shared(t, h)
	node := h.Up("--home", sharedHome)
	s := Sleepy{Tag: "user", Parts: 5, Step: 50 * time.Millisecond}
	dir := filepath.Join(h.Dir, "somebody", "tree")
	s.Make(t, dir)
	if out, err := run("chown", "-R", fmt.Sprint(somebody, ":", somebody), filepath.Join(h.Dir, "somebody")); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if out, err := run("chmod", "-R", "go-rwx", filepath.Join(h.Dir, "somebody")); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	in := fmt.Sprint("--groups=", members)
	o := as(h, in, "build", "-C", dir, "--json")
	if o.Exit != 0 {
		t.Fatalf("exit status %d: %s", o.Exit, o.Stderr)
	}
	s.Check(t, dir)
	if n := len(node.Executions("")); n != s.Steps() {
		t.Errorf("root's node executed %d steps, want %d: %s", n, s.Steps(), o.Stdout)
	}
	info, err := os.Stat(filepath.Join(dir, "all.txt"))
	if err != nil || info.Sys().(*syscall.Stat_t).Uid != somebody {
		t.Errorf("an output is not the user's: %+v, %v", info, err)
	}
	if o = as(h, in, "build", "-C", dir, "--json"); o.Exit != 0 || !strings.Contains(o.Stdout, `"tier":"instant-skip"`) {
		t.Errorf("again: exit status %d: %s%s", o.Exit, o.Stdout, o.Stderr)
	}

	// What the user may not read, the node does not read for them.
	secret := filepath.Join(h.Dir, "secret")
	WriteTree(t, secret, map[string]string{".buildnet/config.yaml": "version: 1\npackages: [{name: a, build_cmd: 'cat key > copy', sources: [key], outputs: [copy]}]\n", "key": "root's\n"})
	if err := os.Chmod(filepath.Join(secret, "key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if o = as(h, in, "build", "-C", secret); o.Exit == 0 {
		t.Errorf("a user built with a file that is root's alone: %s", o.Stdout)
	}
	if _, err := os.Stat(filepath.Join(secret, "copy")); !os.IsNotExist(err) {
		t.Errorf("and the result is there: %v", err)
	}
	// The group builds; it does not command the node.
	for _, args := range [][]string{{"node", "down"}, {"mesh", "invite"}, {"mesh", "leave"}, {"cache", "clear"}} {
		if o = as(h, in, args...); o.Exit == 0 {
			t.Errorf("%v as a user of the group: exit status 0: %s", args, o.Stdout)
		}
	}
	// Others do not even reach it: they are their own node.
	ran := len(node.Executions(""))
	if o = as(h, "--clear-groups", "node", "status"); o.Exit == 0 {
		t.Errorf("a user outside of the group reads the node's status: %s", o.Stdout)
	}
	if n := len(node.Executions("")); n != ran {
		t.Errorf("%d executions, %d before", n, ran)
	}
}
