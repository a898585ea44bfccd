//go:build lab && linux

package peers

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/buildnet/buildnet/simulations/lab"
)

// accountMark has the test program switch the accounting of its processes on,
// to the file that it names, and wait for the end of its input.
const accountMark = "BUILDNET_LAB_ACCOUNT"

// account is the first process of a pid namespace: acct(2).
func account(file string) int {
	if err := unix.Acct(file); err != nil {
		fmt.Fprintln(os.Stderr, "switch on the accounting of processes:", err)
		return 1
	}
	fmt.Println("on")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// watched is a host whose ended processes are recorded, one by one.
type watched struct {
	*lab.Host
	file string
	init int // by the number that the machine knows it
}

// watch has what runs in the host from now on recorded.
func watch(tb testing.TB, h *lab.Host) watched {
	tb.Helper()
	// In memory: the kernel stops where a disk is nearly full.
	f, err := os.CreateTemp("/dev/shm", "buildnet-account-")
	if err != nil {
		tb.Fatal(err)
	}
	_ = f.Close()
	tb.Cleanup(func() { _ = os.Remove(f.Name()) })
	cmd := h.Command("unshare", "--pid", "--fork", "--kill-child", "/proc/self/exe")
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	cmd.Args[len(cmd.Args)-1] = self
	cmd.Env = append(cmd.Env, accountMark+"="+f.Name())
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	if _, err := out.Read(make([]byte, 2)); err != nil {
		tb.Fatalf("host %s: its processes are not recorded: %v", h.Name, err)
	}
	return watched{Host: h, file: f.Name(), init: child(tb, cmd.Process.Pid)}
}

// child is the one child of a process.
func child(tb testing.TB, pid int) int {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "task", strconv.Itoa(pid), "children"))
	if err != nil {
		tb.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		tb.Fatalf("process %d has the children %q", pid, text)
	}
	return n
}

// argv is a command that runs argv where it is recorded.
func (w watched) argv(argv ...string) []string {
	return append([]string{"nsenter", "--pid=/proc/" + strconv.Itoa(w.init) + "/ns/pid", "sh", "-c",
		`mount -t proc proc /proc && exec "$0" "$@"`}, argv...)
}

// ended is the record of a process: acct(5), version 3.
type ended struct {
	Flag, Version                            uint8
	TTY                                      uint16
	Exit, UID, GID, PID, Parent, Begin       uint32
	Elapsed                                  float32
	User, System, Memory, IO, RW, Minor, Big ticks
	Swaps                                    ticks
	Name                                     [16]byte
}

// ticks are hundredths of a second, comp_t of acct(5): three bits of an
// exponent of 8, 13 of a fraction.
type ticks uint16

func (c ticks) time() time.Duration {
	return time.Duration(uint64(c&0x1fff)<<(3*(c>>13))) * 10 * time.Millisecond
}

func (e ended) name() string { return string(bytes.TrimRight(e.Name[:], "\x00")) }

func (e ended) cpu() time.Duration { return e.User.time() + e.System.time() }

// mark is how much has been recorded so far.
func (w watched) mark(tb testing.TB) int64 {
	tb.Helper()
	info, err := os.Stat(w.file)
	if err != nil {
		tb.Fatal(err)
	}
	return info.Size()
}

// since returns what has been recorded since a mark.
func (w watched) since(tb testing.TB, mark int64) []ended {
	tb.Helper()
	raw, err := os.ReadFile(w.file)
	if err != nil {
		tb.Fatal(err)
	}
	all := make([]ended, (int64(len(raw))-mark)/int64(binary.Size(ended{})))
	if err := binary.Read(bytes.NewReader(raw[mark:]), binary.NativeEndian, all); err != nil {
		tb.Fatal(err)
	}
	return all
}

// compiles are how many compiles, each of a compiler proper and an assembler
// that one driver has called, and what they took. A preprocessor is none.
func compiles(all []ended) (n int, took time.Duration) {
	calls := map[uint32][]ended{}
	for _, e := range all {
		if slices.Contains([]string{"cc1", "cc1plus", "as"}, e.name()) {
			calls[e.Parent] = append(calls[e.Parent], e)
		}
	}
	for _, call := range calls {
		if !slices.ContainsFunc(call, func(e ended) bool { return e.name() == "as" }) {
			continue
		}
		n++
		for _, e := range call {
			took += e.cpu()
		}
	}
	return n, took
}
