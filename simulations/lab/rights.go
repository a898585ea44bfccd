//go:build lab && linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"testing"
)

// insideMark tells the test program that it is the one in the user namespace;
// its value is the process that made it.
const insideMark = "BUILDNET_LAB_OF"

// rights are what this process may do.
var rights = struct {
	// refused says why no lab can be made; empty if one can.
	refused string
	// rootless is true in a user namespace: there are no CPU quotas, since
	// cgroups would have to be delegated, and one user alone.
	rootless bool
	// process is whose labs these are, by its ID on the machine.
	process int
}{process: os.Getpid()}

// Main runs the tests, as another process in namespaces of its own if the user
// is not root: there an ordinary user may make hosts. Whatever happens to
// either process, the kernel ends all that runs there and drops its mounts.
func Main(m *testing.M) int {
	// Where an ordinary user does not find ip and nft.
	if err := os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin"); err != nil {
		rights.refused = err.Error()
	}
	switch parent, err := strconv.Atoi(os.Getenv(insideMark)); {
	case err == nil:
		rights.rootless, rights.process = true, parent
		if err := settle(); err != nil {
			rights.refused = fmt.Sprintf("this kernel gives an ordinary user too little: %v", err)
		}
	case os.Geteuid() != 0:
		status, err := again()
		if err == nil {
			return status
		}
		rights.refused = fmt.Sprintf("the lab needs root, or a user namespace, which this kernel refuses: %v", err)
	}
	if rights.refused != "" {
		fmt.Fprintln(os.Stderr, "lab: all of it is skipped:", rights.refused)
	}
	defer removeDir(dirOf(0)) // of the binary, if it was built
	return m.Run()
}

// again runs this program in namespaces of its own and returns its status.
func again() (status int, err error) {
	removeStale("")
	// The child dies with the thread that started it, which must live as long.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(context.Background(), "/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", insideMark, os.Getpid()))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return max(exit.ExitCode(), 1), nil
	}
	return 0, err
}

// settle makes the namespaces fit for hosts.
func settle() error {
	if err := os.Unsetenv(insideMark); err != nil {
		return err
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("part from the machine's mounts: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	return nil
}

// NeedQuota skips a test that means nothing on hosts without CPU quotas.
func NeedQuota(t testing.TB) {
	t.Helper()
	if rights.rootless {
		t.Skip("needs a CPU quota for each host, which takes root")
	}
}

// needUsers skips a test that needs several users.
func needUsers(t *testing.T) {
	t.Helper()
	if rights.rootless {
		t.Skip("needs several users on one host, which takes root")
	}
}

// program is how the binary is called: by the ordinary user who runs the lab,
// or by root. A user namespace with root alone in it would show the binary a
// root that can be nobody else.
func program(t testing.TB) []string {
	t.Helper()
	if !rights.rootless {
		return []string{Binary(t)}
	}
	return []string{"unshare", "--user", "--map-user=1000", "--map-group=1000", "--", Binary(t)}
}
