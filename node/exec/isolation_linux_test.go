package exec_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/exec"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

func TestActionSeesItsInputsAndNothingElse(t *testing.T) {
	r := sandboxed(t)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	w := sh("ls > out; cat declared; ! cat undeclared; ! ls "+secret+"; ! ls "+r.dir+"; ! ls /root; ! ls /home; ! ls /var/lib; ls -A / | sort", "out")
	w.inputs = map[string]string{"declared": "here"}
	result := r.must(w)
	if got := r.output(result, "out"); got != "declared\nout\n" {
		t.Errorf("inputs seen: %q", got)
	}
	printed := r.stdout(result)
	for _, want := range []string{"cat: undeclared: No such file or directory", "here"} {
		if !strings.Contains(printed, want) {
			t.Errorf("printed %q, want %q in it", printed, want)
		}
	}
	if strings.Contains(printed, "x\n") {
		t.Errorf("a file of the host was read: %q", printed)
	}
}

// A node inherits what the shell that started it has open.
func TestInheritedDescriptorsStayWithTheNode(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Open(secret, syscall.O_RDONLY, 0) // without O_CLOEXEC
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	for name, level := range map[string]action.Isolation{"Full": 0, "Reduced": action.Reduced} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(o *exec.Options) { o.Isolation = level })
			if got := strings.Fields(r.stdout(r.must(sh("cd /proc/self/fd; echo *")))); !slices.Equal(got, []string{"0", "1", "2", "3"}) && !slices.Equal(got, []string{"0", "1", "2"}) {
				t.Errorf("open in the action: %v", got)
			}
		})
	}
}

func TestStoreIsUnharmedByAnActionThatOverwritesItsInputs(t *testing.T) {
	r := newRig(t, nil)
	w := sh("chmod 777 in; echo changed > in; cat in > out; rm in; ln -s /etc/passwd in", "out")
	w.inputs = map[string]string{"in": strings.Repeat("original", 10_000)}
	if got := r.output(r.must(w), "out"); got != "changed\n" {
		t.Errorf("out = %q", got)
	}
	d := digest.Of(digest.BLAKE3, []byte(w.inputs["in"]))
	if digest.Of(digest.BLAKE3, []byte(r.content(d))) != d {
		t.Error("the store's blob has changed")
	}
}

// clang links by what the distribution is called.
func TestActionsSeeTheDistribution(t *testing.T) {
	want, err := os.ReadFile("/etc/os-release")
	if err != nil {
		t.Skip(err)
	}
	r := sandboxed(t)
	if got := r.stdout(r.must(sh("cat /etc/os-release"))); got != string(want) {
		t.Errorf("it is %q", got)
	}
}

func TestNetworkIsClosedUnlessAskedFor(t *testing.T) {
	r := sandboxed(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	accepted := make(chan struct{}, 8)
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			accepted <- struct{}{}
			_ = c.Close()
		}
	}()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	w := work{argv: []string{"/bin/bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/" + port}}
	if result := r.do(w); result.OK() {
		t.Error("an action without network reached the host")
	}
	up := r.must(sh("cat /proc/net/dev; cat /proc/net/if_inet6 || :"))
	if !strings.Contains(r.stdout(up), "lo:") {
		t.Error("no loopback interface")
	}
	w.platform = []action.Property{{Name: action.PropertyNetwork, Value: "true"}}
	r.must(w)
	select {
	case <-accepted:
	default:
		t.Error("nobody came")
	}
}

func TestEnvironmentIsFixed(t *testing.T) {
	t.Setenv("LEAKED", "yes")
	r := sandboxed(t)
	w := sh("hostname; env | sort; umask; stat -c '%Y %a %n' in dir dir/x; id -u; pwd", "")
	w.outputs = nil
	w.inputs = map[string]string{"in": "x", "dir/x": "#!y"}
	w.env = []action.Property{{Name: "GIVEN", Value: "1"}}
	got := r.stdout(r.must(w))
	want := `buildnet
GIVEN=1
HOME=/buildnet/home
LANG=C
LC_ALL=C
LOGNAME=buildnet
PATH=/usr/local/bin:/usr/bin:/bin
PWD=/buildnet/work
SOURCE_DATE_EPOCH=315532800
TMPDIR=/tmp
TZ=UTC
USER=buildnet
0022
315532800 644 in
315532800 755 dir
315532800 755 dir/x
1000
/buildnet/work
`
	if got != want {
		t.Errorf("printed\n%s\nwant\n%s", got, want)
	}
}

func TestCommandsOwnEnvironmentComesFirst(t *testing.T) {
	r := newRig(t, nil)
	w := sh("echo $LANG:$LC_ALL:$TZ:$SOURCE_DATE_EPOCH")
	w.env = []action.Property{{Name: "LANG", Value: "C.UTF-8"}, {Name: "TZ", Value: "Asia/Tokyo"}, {Name: "SOURCE_DATE_EPOCH", Value: "7"}}
	if got := r.stdout(r.must(w)); got != "C.UTF-8::Asia/Tokyo:7\n" {
		t.Errorf("printed %q", got)
	}
}

func TestScratchPathEntersNoOutput(t *testing.T) {
	w := sh("cc -g -c a.c -o a.o; pwd > where; echo __FILE__ > f; mktemp -u > /dev/null", "a.o", "where")
	w.dir = "p/q"
	w.inputs = map[string]string{"p/q/a.c": "const char *f(void) { return __FILE__; }\n"}
	var digests []string
	for range 2 {
		r := sandboxed(t)
		result := r.must(w)
		var all []string
		for _, o := range result.Outputs {
			all = append(all, o.Path+" "+o.Digest.String())
		}
		digests = append(digests, strings.Join(all, "\n"))
	}
	if digests[0] != digests[1] {
		t.Errorf("in two scratch directories: %v", digests)
	}
}

func TestActionHasNoRights(t *testing.T) {
	r := sandboxed(t)
	result := r.must(sh(`grep -E '^(CapInh|CapPrm|CapEff|CapAmb|NoNewPrivs|Uid)' /proc/self/status
! touch /usr/x
! touch /x
! mount -t tmpfs x /tmp
! mknod n b 8 0
! chown 0 /tmp
! ls /proc/1/fd
! cat /proc/1/environ
! kill -9 1; kill -0 $$`))
	printed := r.stdout(result)
	for _, want := range []string{"CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "CapInh:\t0000000000000000", "CapAmb:\t0000000000000000", "NoNewPrivs:\t1", "Uid:\t1000"} {
		if !strings.Contains(printed, want) {
			t.Errorf("no %q in %s", want, printed)
		}
	}
}

func TestSetuidProgramsGainNothing(t *testing.T) {
	r := sandboxed(t)
	result := r.must(sh(`for p in /usr/bin/su /usr/bin/mount /usr/bin/passwd; do test ! -u $p || stat -c '%U %n' $p; done
cp /usr/bin/id id; chmod 6755 id; ./id -u > uid; grep -q ' /usr .*nosuid' /proc/mounts`, "uid"))
	if got := r.output(result, "uid"); got != "1000\n" {
		t.Errorf("a setuid copy ran as %q", got)
	}
}

func TestProcShowsTheActionAlone(t *testing.T) {
	r := sandboxed(t)
	got := r.stdout(r.must(sh("ls /proc | grep -c '^[0-9]' ")))
	if got = strings.TrimSpace(got); len(got) != 1 || got > "5" {
		t.Errorf("%s processes seen", got)
	}
}

func TestDevicesAreFew(t *testing.T) {
	r := sandboxed(t)
	got := r.stdout(r.must(sh("ls -x -w 200 /dev; echo x > /dev/null; head -c 4 /dev/urandom | wc -c; echo y > /dev/shm/f; : > /dev/fd/1")))
	fields := strings.Join(strings.Fields(got), " ")
	if want := "fd full null random shm stderr stdin stdout tty urandom zero 4"; fields != want {
		t.Errorf("printed %q, want %q", got, want)
	}
}

func TestHomeOfTheNodeIsHidden(t *testing.T) {
	tools := t.TempDir()
	home := filepath.Join(tools, "home")
	if err := os.Mkdir(home, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{filepath.Join(home, "key"), filepath.Join(tools, "tool")} {
		if err := os.WriteFile(p, []byte("x"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for p := tools; p != "/" && p != os.TempDir(); p = filepath.Dir(p) {
		if err := os.Chmod(p, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	r := newRig(t, func(o *exec.Options) { o.Hidden = []string{home} })
	if level, missing := r.Isolation(); level != action.Full {
		t.Skip(missing)
	}
	w := sh("test -e " + tools + "/tool; test ! -e " + home + "/key; ! touch " + tools + "/new")
	w.platform = []action.Property{{Name: action.PropertyToolchainDirs, Value: tools}}
	r.must(w)
	w.platform[0].Value = home
	_, err := r.Execute(context.Background(), exec.Request{Action: r.action(w)}, func() {})
	if !errors.Is(err, exec.ErrMalformed) {
		t.Errorf("toolchain directory in the home: %v, want ErrMalformed", err)
	}
}

func TestUnsandboxedActionIsAnOrdinaryProcess(t *testing.T) {
	r := newRig(t, nil)
	w := sh("pwd; ls; id -u; cat in > out; test -d "+os.TempDir(), "out")
	w.inputs = map[string]string{"in": "x"}
	w.platform = []action.Property{{Name: action.PropertySandbox, Value: "none"}}
	result := r.must(w)
	if result.Isolation != action.None || r.output(result, "out") != "x" {
		t.Errorf("isolation %v, printed %s", result.Isolation, r.stdout(result))
	}
}

func TestReducedIsolationCanBeForced(t *testing.T) {
	r := newRig(t, func(o *exec.Options) { o.Isolation = action.Reduced })
	level, missing := r.Isolation()
	if level != action.Reduced || missing == "" {
		t.Errorf("isolation = %v, %q", level, missing)
	}
	w := sh("env > env; id -u > uid; cc -c d/a.c -o a.o; echo $HOME; touch $HOME/x $TMPDIR/y; (sleep 1000 &) ; (setsid sleep 1000 &)", "env", "uid", "a.o")
	w.inputs = map[string]string{"d/a.c": "int x;\n"}
	result := r.must(w)
	if result.Isolation != action.Reduced {
		t.Errorf("isolation = %v", result.Isolation)
	}
	if strings.Contains(r.output(result, "env"), "GOCACHE") {
		t.Error("the environment is not clean")
	}
	if os.Geteuid() == 0 && r.output(result, "uid") != "65534\n" {
		t.Errorf("ran as %s", r.output(result, "uid"))
	}
}

func TestMalformedActionsAreRefused(t *testing.T) {
	r := newRig(t, nil)
	for name, w := range map[string]work{
		"NoCommand":         {argv: nil},
		"WorkingDirOutside": {argv: []string{"true"}, dir: "", outputs: []string{"../x"}},
		"ToolchainRoot":     {argv: []string{"true"}, platform: []action.Property{{Name: action.PropertyToolchainDirs, Value: "/"}}},
		"ToolchainRelative": {argv: []string{"true"}, platform: []action.Property{{Name: action.PropertyToolchainDirs, Value: "a/../b"}}},
		"Memory":            {argv: []string{"true"}, platform: []action.Property{{Name: action.PropertyMemoryBytes, Value: "much"}}},
		"Variable":          {argv: []string{"true"}, env: []action.Property{{Name: "A=B", Value: "c"}}},
		"NUL":               {argv: []string{"true", "a\x00b"}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := r.Execute(context.Background(), exec.Request{Action: r.action(w)}, func() {}); !errors.Is(err, exec.ErrMalformed) {
				t.Errorf("Execute = %v, want ErrMalformed", err)
			}
		})
	}
	if _, err := r.Execute(context.Background(), exec.Request{Action: digest.Of(digest.BLAKE3, []byte("absent"))}, func() {}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("absent action: %v, want ErrNotFound", err)
	}
}

func TestMissingToolchainDirectoryIsNamed(t *testing.T) {
	r := sandboxed(t)
	w := sh("true")
	w.platform = []action.Property{{Name: action.PropertyToolchainDirs, Value: "/opt/no-such-toolchain"}}
	_, err := r.Execute(context.Background(), exec.Request{Action: r.action(w)}, func() {})
	if err == nil || !strings.Contains(err.Error(), "/opt/no-such-toolchain") {
		t.Errorf("Execute = %v", err)
	}
}

func TestManyAtOnce(t *testing.T) {
	r := newRig(t, nil)
	done := make(chan error)
	const n = 8
	for range n {
		go func() {
			w := sh("echo $$; sleep 0.05; echo done > out", "out")
			result, err := r.Execute(context.Background(), exec.Request{Action: r.action(w)}, func() {})
			if err == nil && !result.OK() {
				err = errors.New(result.Message)
			}
			done <- err
		}()
	}
	for range n {
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("stuck")
		}
	}
}

// rotten serves other bytes than those of a digest, as a disk that decays.
type rotten struct {
	store.Blobs
	bad     digest.Digest
	checked int
}

func (r *rotten) Open(ctx context.Context, d digest.Digest) (store.Reader, error) {
	if d != r.bad {
		return r.Blobs.Open(ctx, d)
	}
	other, err := store.AddBytes(ctx, r.Blobs, bytes.Repeat([]byte{'x'}, int(d.Size())))
	if err != nil {
		return nil, err
	}
	return r.Blobs.Open(ctx, other)
}

func (r *rotten) Check(context.Context, digest.Digest) error {
	r.checked++
	return store.ErrCorrupt
}

func TestRottenInputIsNotRunWith(t *testing.T) {
	r := newRig(t, nil)
	w := sh("cat in > out", "out")
	w.inputs = map[string]string{"in": strings.Repeat("original", 10_000)}
	bad := &rotten{Blobs: r.blobs, bad: digest.Of(digest.BLAKE3, []byte(w.inputs["in"]))}
	e, err := exec.New(exec.Options{Dir: t.TempDir(), Blobs: bad})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	_, err = e.Execute(t.Context(), exec.Request{Action: r.action(w)}, func() { t.Error("the command ran") })
	if !errors.Is(err, store.ErrCorrupt) || bad.checked != 1 {
		t.Errorf("Execute = %v, and the blob was looked at again %d times", err, bad.checked)
	}
}

// A node whose user keeps files to himself, or that is in a directory whose group all in
// it has, shows actions what all others do.
func TestModesOfDirectoriesAreNotThoseOfTheNodesUmask(t *testing.T) {
	for name, c := range map[string]struct {
		level action.Isolation
		dirs  string
	}{
		"Full": {action.Full, ". .. in in/deep out out/deep / /tmp ~"}, "Reduced": {action.Reduced, ". in in/deep out out/deep ~"},
	} {
		t.Run(name, func(t *testing.T) {
			w := sh("stat -c %a "+c.dirs+"; : > out/deep/file", "out/deep/file")
			w.inputs = map[string]string{"in/deep/file": "x"}
			modes := func(umask int, home os.FileMode) string {
				defer syscall.Umask(syscall.Umask(umask))
				r := newRig(t, func(o *exec.Options) {
					if o.Isolation = c.level; os.Chmod(o.Dir, home) != nil {
						t.Fatal("no such mode of the home here")
					}
				})
				if level, missing := r.Isolation(); level != c.level {
					t.Skipf("not isolated so here: %s", missing)
				}
				first := r.stdout(r.must(w)) // directories that it had may be had again
				if w.argv[3] += " "; r.stdout(r.must(w)) != first {
					t.Errorf("they are others for the next action: %s", first)
				}
				return first
			}
			usual := modes(0o022, 0o755)
			if ours := modes(0o077, 0o755); ours != usual {
				t.Errorf("of %s:\n%s\nwhere the umask is 022:\n%s", c.dirs, ours, usual)
			}
			if ours := modes(0o022, 0o755|os.ModeSetgid); ours != usual {
				t.Errorf("of %s:\n%s\nwhere no group is handed down:\n%s", c.dirs, ours, usual)
			}
		})
	}
}
