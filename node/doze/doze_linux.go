package doze

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// slack is how much later than it asked for the kernel may wake a thread, so as
// to do it together with something else: see PR_SET_TIMERSLACK of prctl(2).
//
// Go's monitor looks after the process every 20 µs while anything runs in it, and
// threads that compete with compilers for a core take long to run through. Half of
// all that a node woke up for in a build was this monitor. With a millisecond it
// looks once where it looked four times. More saves little, and packets are paced
// by timers.
const slack = time.Millisecond

// begun is set where a process was begun anew, against doing so again where the
// kernel gives no slack.
const begun = "BUILDNET_DOZES"

// slacken gives all threads of this process their slack. Threads have that of the
// one that made them, and Go has made its monitor's before any of our code runs:
// the process begins anew, as itself.
func slacken() error {
	if _, again := os.LookupEnv(begun); again {
		return os.Unsetenv(begun)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if has, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0); err != nil || has >= int(slack) {
		return nil // there is nothing to give
	}
	self, err := os.Executable() // by its name, which people look for
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(slack), 0, 0, 0); err != nil {
		return fmt.Errorf("set the slack of timers: %w", err)
	}
	if err := syscall.Exec(self, os.Args, append(os.Environ(), begun+"=1")); err != nil {
		return fmt.Errorf("begin this process anew: %w", err)
	}
	return nil
}
