package intercept_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/buildnet/buildnet/node/intercept"
)

// terminal returns both ends of one.
func terminal(t *testing.T) (us, them *os.File) {
	t.Helper()
	us, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = us.Close() })
	fd := int(us.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		them, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = them.Close() })
	return us, them
}

// Colours are asked for where a compiler would have them: on a terminal that can, of
// somebody who wants them.
func TestColoursAreAskedForOnTerminals(t *testing.T) {
	f := newFake(t, func(asked) string { return ok })
	_, screen := terminal(t)
	for _, c := range []struct {
		stderr *os.File
		env    []string
		want   bool
	}{
		{screen, []string{"TERM=xterm"}, true},
		{screen, []string{"TERM=xterm", "NO_COLOR="}, true},
		{screen, []string{"TERM=xterm", "NO_COLOR=1"}, false},
		{screen, []string{"TERM=dumb"}, false},
		{screen, nil, false},
		{nil, []string{"TERM=xterm"}, false},
	} {
		plain := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "TERM=") || strings.HasPrefix(v, "NO_COLOR=") })
		env := theKit(t).Environ(append(plain, c.env...), intercept.Invocation{Socket: f.socket, ID: invocation})
		path, argv, _ := intercept.Compile(env, filepath.Join("/usr/bin", "gcc"), []string{"gcc", "-c", "x.c"})
		cmd := exec.CommandContext(t.Context(), path, argv[1:]...)
		cmd.Dir, cmd.Env = t.TempDir(), env
		if c.stderr != nil {
			cmd.Stderr = c.stderr
		}
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		if heard := f.heard(); heard[len(heard)-1].terminal != c.want {
			t.Errorf("%v, a terminal %v: asked for colours %v", c.env, c.stderr != nil, !c.want)
		}
	}
}
