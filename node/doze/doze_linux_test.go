package doze

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// asked is set in the process of a test that dozes.
const asked = "BUILDNET_DOZE_TEST"

func TestMain(m *testing.M) {
	if _, is := os.LookupEnv(asked); !is {
		os.Exit(m.Run())
	}
	if err := Once(0.5); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	_, marked := os.LookupEnv(begun)
	fmt.Println(strings.Join(os.Args[1:], " "), runtime.GOMAXPROCS(0), marked)
	fmt.Println(strings.Join(slacks(), " "))
}

// slacks are those of all threads of this process, as far as it may see them.
func slacks() (all []string) {
	threads, _ := filepath.Glob("/proc/self/task/*")
	for _, t := range threads {
		if raw, err := os.ReadFile("/proc/" + filepath.Base(t) + "/timerslack_ns"); err == nil {
			all = append(all, strings.TrimSpace(string(raw)))
		}
	}
	return all
}

func TestAllThreadsDoze(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "first", "second")
	cmd.Env = append(os.Environ(), asked+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	said, threads, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if want := "first second 1 false"; said != want {
		t.Errorf("arguments, processors, and whether the mark is left are %q, want %q", said, want)
	}
	if threads == "" {
		t.Skip("this user may not see the slack of threads")
	}
	for have := range strings.SplitSeq(threads, " ") {
		if want := fmt.Sprint(time.Millisecond.Nanoseconds()); have != want {
			t.Errorf("a thread has a slack of %s ns, want %s", have, want)
		}
	}
}
