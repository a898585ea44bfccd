//go:build unix

package toolchain

import (
	"os"
	"os/exec"
	"syscall"
)

// nobody is whom root's questions are asked as.
const nobody = 65534

func unprivileged(cmd *exec.Cmd) {
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
}
