package exec_test

import (
	"os"
	osexec "os/exec"
	"syscall"
	"testing"
)

// TestAsAnOrdinaryUser runs the tests of this package once more without root's
// rights: the sandbox then comes about in another way.
func TestAsAnOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 || testing.Short() {
		t.Skip("an ordinary user already, or in a hurry")
	}
	const nobody = 65534
	dir, err := os.MkdirTemp("", "buildnet-user-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	cmd := osexec.CommandContext(t.Context(), "/proc/self/exe", "-test.v")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TMPDIR="+dir, "HOME="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("as user %d: %v\n%s", nobody, err, out)
	}
	t.Logf("%s", out)
}
