package intercept_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/intercept"
)

// counted stands in for a compiler: it writes down when it begins and when it ends,
// which for one of "hang" is never.
const counted = `#!/bin/sh
echo "+ $2" >>log
case $2 in hang*) exec sleep 1000;; esac
sleep 0.02
echo "- $2" >>log
`

// crowd is shims of one build.
type crowd struct {
	t      *testing.T
	dir    string
	socket string
}

func newCrowd(t *testing.T, socket string) *crowd {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, map[string]string{"bin/gcc*": counted, "log": ""})
	faults(t, dir)
	return &crowd{t: t, dir: dir, socket: socket}
}

func (c *crowd) compile(source string) *exec.Cmd {
	c.t.Helper()
	env := theKit(c.t).Environ(os.Environ(), intercept.Invocation{Socket: c.socket, ID: invocation, Faults: filepath.Join(c.dir, ".faults"), Slots: 2})
	path, argv, _ := intercept.Compile(env, filepath.Join(c.dir, "bin", "gcc"), []string{"gcc", "-c", source})
	cmd := exec.CommandContext(c.t.Context(), path, argv[1:]...)
	cmd.Dir, cmd.Env = c.dir, env
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	return cmd
}

func (c *crowd) log() []string {
	c.t.Helper()
	text, err := os.ReadFile(filepath.Join(c.dir, "log"))
	if err != nil {
		c.t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// until waits for a line of the log.
func (c *crowd) until(line string) {
	c.t.Helper()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	end := time.After(patience)
	for !strings.Contains(strings.Join(c.log(), "\n")+"\n", line+"\n") {
		select {
		case <-look.C:
		case <-end:
			c.t.Fatalf("no %q in %q", line, c.log())
		}
	}
}

func TestWithoutANodeAFewCompilersRunAtOnce(t *testing.T) {
	c := newCrowd(t, filepath.Join(t.TempDir(), "none"))
	var all sync.WaitGroup
	for range 12 {
		shim := c.compile("x.c")
		all.Go(func() {
			if err := shim.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	running, most, began := 0, 0, 0
	for _, line := range c.log() {
		if line[0] == '+' {
			running, began = running+1, began+1
		} else {
			running--
		}
		most = max(most, running)
	}
	if most > 2 || began != 12 {
		t.Errorf("%d at once of %d: %q", most, began, c.log())
	}
	if note := noted(t, c.dir); strings.Count(note, "cannot be reached") != 12 || strings.Count(note, "\n") != 12 {
		t.Errorf("noted %q", note)
	}
}

// What runs here by the word of the node counts when the node is lost, and what is
// killed does not count any more.
func TestSlotsComeBackHoweverTheirCompilersEnd(t *testing.T) {
	f := newFake(t, func(asked) string { return local })
	c := newCrowd(t, f.socket)
	first, second := c.compile("hang1"), c.compile("hang2")
	c.until("+ hang1")
	c.until("+ hang2")
	c.socket = filepath.Join(t.TempDir(), "none")
	third := c.compile("third")
	kill := func(cmd *exec.Cmd, word string) {
		log, err := os.OpenFile(filepath.Join(c.dir, "log"), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer log.Close()
		if _, err := log.WriteString(word + "\n"); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
	}
	kill(first, "killed")
	if err := third.Wait(); err != nil {
		t.Fatal(err)
	}
	kill(second, "killed, too")
	if got := strings.Join(c.log()[2:], "|"); got != "killed|+ third|- third|killed, too" {
		t.Errorf("it went %q", c.log())
	}
	f.count(t, 2)
}
