package child

import (
	"strconv"
	"syscall"
)

// plain makes this process the one that orphans of the command come to.
func plain(s *Spec) {
	must("adopt orphans", prctl(prSetSubreaper, 1))
	must("enter the working directory", syscall.Chdir(s.Scratch+"/work/"+s.Dir))
}

// killRounds bounds how often killDescendants looks again: each round kills a
// generation, and orphans of it are our children in the next.
const killRounds = 1000

// killDescendants kills everything that this process started, directly or not.
func killDescendants() {
	for range killRounds {
		children := childrenOf("self")
		if len(children) == 0 {
			return
		}
		for _, pid := range children {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		for _, pid := range children {
			// The other thread may have reaped it.
			_, _ = syscall.Wait4(pid, nil, waitAll, nil)
		}
	}
}

// childrenOf returns the processes whose parent is any thread of pid.
func childrenOf(pid string) []int {
	var all []int
	for _, tid := range list("/proc/" + pid + "/task") {
		all = appendNumbers(all, contentOf("/proc/"+pid+"/task/"+tid+"/children"))
	}
	return all
}

func list(dir string) []string {
	fd, err := syscall.Open(dir, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer func() { _ = syscall.Close(fd) }()
	var names []string
	b := make([]byte, 4096)
	for {
		n, err := syscall.ReadDirent(fd, b)
		if n <= 0 || err != nil {
			return names
		}
		_, _, names = syscall.ParseDirent(b[:n], -1, names)
	}
}

func contentOf(file string) []byte {
	fd, err := syscall.Open(file, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer func() { _ = syscall.Close(fd) }()
	b, n := make([]byte, 64<<10), 0
	for n < len(b) {
		m, err := syscall.Read(fd, b[n:])
		if m <= 0 || err != nil {
			break
		}
		n += m
	}
	return b[:n]
}

func appendNumbers(to []int, text []byte) []int {
	start := 0
	for i, c := range text {
		if c == ' ' || c == '\n' {
			if n, err := strconv.Atoi(string(text[start:i])); err == nil {
				to = append(to, n)
			}
			start = i + 1
		}
	}
	return to
}
