package ninja

import (
	"os/exec"
	"syscall"
)

// There are no process groups of this kind on Windows, nor is there a /bin/sh:
// builds of manifests are for Unix.

func ownGroup(*exec.Cmd, func() syscall.Signal) {}

func killGroup(cmd *exec.Cmd) { _ = cmd.Process.Kill() }

func byUser(*exec.ExitError) bool { return false }
