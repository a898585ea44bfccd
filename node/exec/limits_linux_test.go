package exec_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/buildnet/buildnet/node/exec"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/memory"
)

// levels are the isolations that what follows must hold in.
func levels(t *testing.T, test func(t *testing.T, r *rig)) {
	t.Run("Sandbox", func(t *testing.T) { test(t, sandboxed(t)) })
	t.Run("Reduced", func(t *testing.T) {
		test(t, newRig(t, func(o *exec.Options) { o.Isolation = action.Reduced }))
	})
}

// running counts the processes whose command line has mark in it.
func running(mark string) int {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	n := 0
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil && bytes.Contains(b, []byte(mark)) {
			n++
		}
	}
	return n
}

// brood is a command that starts children of all kinds, which would live on.
func brood(mark string) work {
	return work{argv: []string{"/bin/bash", "-c", `
trap '' TERM HUP INT
for i in 1 2 3 4 5; do (trap '' TERM HUP; exec -a ` + mark + ` sleep 1000) & done
(setsid bash -c '(exec -a ` + mark + ` sleep 1000) & (setsid bash -c "exec -a ` + mark + ` sleep 1000" &)' &)
exec -a ` + mark + ` sleep 1000`}}
}

func TestCancelledActionDiesWithAllItStarted(t *testing.T) {
	levels(t, func(t *testing.T, r *rig) {
		mark := "brood" + strconv.FormatInt(time.Now().UnixNano(), 36)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		ended := make(chan error, 1)
		started := make(chan struct{})
		go func() {
			_, err := r.Execute(ctx, exec.Request{Action: r.action(brood(mark))}, func() { close(started) })
			ended <- err
		}()
		<-started
		eventually(t, 30*time.Second, "eight processes", func() bool { return running(mark) >= 8 })
		cancel()
		begin := time.Now()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Execute = %v, want Canceled", err)
		}
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("ended after %v", took)
		}
		if n := running(mark); n > 0 {
			t.Errorf("%d processes live on", n)
		}
	})
}

func TestWhatACommandLeavesBehindDies(t *testing.T) {
	levels(t, func(t *testing.T, r *rig) {
		mark := "left" + strconv.FormatInt(time.Now().UnixNano(), 36)
		w := work{argv: []string{"/bin/bash", "-c", `(exec -a ` + mark + ` sleep 1000) & (setsid bash -c "exec -a ` + mark + ` sleep 1000" &) ; sleep 0.1; echo ok`}}
		result := r.must(w)
		if r.stdout(result) != "ok\n" || running(mark) > 0 {
			t.Errorf("printed %q, %d processes live on", r.stdout(result), running(mark))
		}
	})
}

func TestTimeoutEndsTheAction(t *testing.T) {
	levels(t, func(t *testing.T, r *rig) {
		mark := "late" + strconv.FormatInt(time.Now().UnixNano(), 36)
		w := brood(mark)
		w.timeout = 500 * time.Millisecond
		result := r.do(w)
		if result.OK() || !strings.Contains(result.Message, "time limit of 500ms") {
			t.Errorf("result = %+v", result)
		}
		if result.Wall > 10*time.Second || running(mark) > 0 {
			t.Errorf("took %v, %d processes live on", result.Wall, running(mark))
		}
	})
}

func TestPrintedIsKeptInOrderAndBounded(t *testing.T) {
	r := newRig(t, nil)
	got := r.stdout(r.must(sh("echo 1; echo 2 >&2; echo 3; echo 4 > /dev/stderr")))
	if got != "1\n2\n3\n4\n" {
		t.Errorf("printed %q", got)
	}
	result := r.must(sh("echo first; head -c 20000000 /dev/zero | tr '\\0' x; echo last"))
	got = r.stdout(result)
	if len(got) > exec.MaxStdoutBytes || !strings.HasPrefix(got, "first\n") || !strings.HasSuffix(got, "last\n") {
		t.Errorf("kept %d bytes", len(got))
	}
	if cut := 20000000 + 11 - exec.MaxStdoutBytes + 128; !strings.Contains(got, strconv.Itoa(cut)+" bytes of output cut") {
		t.Error("it does not say how much was cut")
	}
}

func TestMemoryLimit(t *testing.T) {
	r := newRig(t, nil)
	w := work{argv: []string{"/usr/bin/perl", "-e", "$x = 'x' x (300 << 20)"}}
	r.must(w)
	w.platform = []action.Property{{Name: action.PropertyMemoryBytes, Value: strconv.Itoa(100 << 20)}}
	if result := r.do(w); result.OK() {
		t.Errorf("300 MiB under a limit of 100: %+v", result)
	}
	w = sh("echo fits")
	w.platform = []action.Property{{Name: action.PropertyMemoryBytes, Value: strconv.Itoa(100 << 20)}}
	r.must(w)
}

func TestOutputsAreBounded(t *testing.T) {
	r := newRig(t, func(o *exec.Options) { o.OutputBytes = 1 << 20 })
	result := r.do(sh("head -c 700000 /dev/zero > a; cp a b", "a", "b"))
	if result.OK() || !strings.Contains(result.Message, "limit of 1048576 bytes") {
		t.Errorf("result = %+v", result)
	}
	result = r.do(sh("head -c 2000000 /dev/zero > a", "a"))
	if result.OK() {
		t.Errorf("result = %+v", result)
	}
}

func TestSignalsAndCodes(t *testing.T) {
	r := newRig(t, nil)
	if result := r.do(sh("exit 7")); result.ExitCode != 7 || result.Message != "" {
		t.Errorf("exit 7: %+v", result)
	}
	if result := r.do(sh("kill -SEGV $$")); result.ExitCode != 139 || !strings.Contains(result.Message, "signal 11") {
		t.Errorf("SIGSEGV: %+v", result)
	}
	if result := r.do(work{argv: []string{"no-such-program"}}); result.ExitCode != 127 || !strings.Contains(result.Message, "no-such-program") {
		t.Errorf("no program: %+v", result)
	}
	w := work{argv: []string{"./in"}, inputs: map[string]string{"in": "not executable"}}
	if result := r.do(w); result.ExitCode != 126 {
		t.Errorf("not executable: %+v", result)
	}
}

func TestUsageIsTheCommands(t *testing.T) {
	r := newRig(t, nil)
	result := r.must(work{argv: []string{"/usr/bin/perl", "-e", "$x = 'x' x (64 << 20); $i++ while $i < 3000000"}})
	if result.CPU < 20*time.Millisecond || result.CPU > 5*time.Second || result.MaxRSS < 60<<20 || result.MaxRSS > 1<<30 || result.Wall < result.CPU/2 {
		t.Errorf("CPU %v, wall %v, %d bytes", result.CPU, result.Wall, result.MaxRSS)
	}
}

// pair is a program whose two processes hold as many bytes as it is told, at
// the same time.
const pair = `
sub hold { $x = chr(120) x $ARGV[0] }
pipe(R, W); pipe(S, V);
if (!fork) { close V; hold; syswrite W, "x"; sysread S, $b, 1; exit }
close W; sysread R, $b, 1; hold; close V; wait`

func TestMemoryIsThatOfAllProcessesWhereTheyHaveAGroup(t *testing.T) {
	r := newRig(t, nil)
	w := work{argv: []string{"/usr/bin/perl", "-e", pair, strconv.Itoa(64 << 20)}}
	if alone := r.must(w).MaxRSS; alone < 64<<20 || alone > 120<<20 {
		t.Errorf("the largest process used %d MiB", alone>>20)
	}
	w.platform = []action.Property{{Name: action.PropertyMemoryBytes, Value: strconv.Itoa(1 << 30)}}
	all := r.must(w).MaxRSS
	if all < 64<<20 || all > 1<<30 {
		t.Errorf("with a group they used %d MiB", all>>20)
	}
	if all < 120<<20 {
		t.Skipf("no group can be made here: %d MiB of the largest process", all>>20)
	}
}

// The kernel ends the largest process within a bound, and whoever has the same memory:
// each of these is smaller than what sandboxes are started from.
func TestAnActionWithoutMemoryTakesNoOtherAlong(t *testing.T) {
	r := newRig(t, nil)
	many := sh("i=0; while [ $i -lt 60 ]; do sleep 2 & i=$((i+1)); done; wait")
	many.platform = []action.Property{{Name: action.PropertyMemoryBytes, Value: strconv.Itoa(3 << 20)}}
	result, err := r.Execute(t.Context(), exec.Request{Action: r.action(sh("sleep 1; echo here")), Name: "beside"}, func() {
		if short := r.do(many); short.OK() {
			t.Log("no group can be made here")
		}
	})
	if err != nil || !result.OK() || r.stdout(result) != "here\n" {
		t.Errorf("the action beside: %+v, %v", result, err)
	}
}

func TestFullStoreIsAnError(t *testing.T) {
	r := newRig(t, nil)
	small := memory.New(64 << 10)
	e, err := exec.New(exec.Options{Dir: t.TempDir(), Blobs: overflowing{r.blobs, small}})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	_, err = e.Execute(context.Background(), exec.Request{Action: r.action(sh("head -c 100000 /dev/urandom > a", "a"))}, func() {})
	if !errors.Is(err, store.ErrFull) {
		t.Errorf("Execute = %v, want ErrFull", err)
	}
}

func TestFullDiskIsAnError(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting takes root")
	}
	dir := t.TempDir()
	if err := syscall.Mount("full", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
	r := newRig(t, nil)
	e, err := exec.New(exec.Options{Dir: dir, Blobs: r.blobs})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	w := sh("cat in > out", "out")
	w.inputs = map[string]string{"in": strings.Repeat("x", 4<<20)}
	_, err = e.Execute(context.Background(), exec.Request{Action: r.action(w)}, func() {})
	if !errors.Is(err, exec.ErrNoSpace) {
		t.Errorf("Execute = %v, want ErrNoSpace", err)
	}
	_, err = e.Execute(context.Background(), exec.Request{Action: r.action(sh("head -c 4000000 /dev/zero > out", "out"))}, func() {})
	if !errors.Is(err, exec.ErrNoSpace) {
		t.Errorf("Execute = %v, want ErrNoSpace", err)
	}
}

func TestLeftoversOfAKilledNodeAreRemoved(t *testing.T) {
	dir := t.TempDir()
	deep := filepath.Join(dir, "77-1", "work", "locked", "more")
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(deep), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := exec.New(exec.Options{Dir: dir, Blobs: memory.New(roomy)}); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestScratchIsRemovedWhateverItsPermissions(t *testing.T) {
	newRig(t, nil).must(sh("mkdir -p a/b/c; touch a/b/c/f; chmod 0 a/b/c a/b a; mkdir /tmp/x; touch /tmp/x/y; chmod 0 /tmp/x"))
}

// asNode makes this test binary a node that runs one action until it is killed.
const asNode = "BUILDNET_TEST_NODE"

func TestMain(m *testing.M) {
	if mark := os.Getenv(asNode); mark != "" {
		actAsNode(mark)
	}
	goleak.VerifyTestMain(m)
}

func actAsNode(mark string) {
	level := action.Isolation(0)
	if os.Getenv(asNode+"_REDUCED") != "" {
		level = action.Reduced
	}
	r := &rig{t: &testing.T{}, blobs: memory.New(roomy)}
	e, err := exec.New(exec.Options{Dir: os.Getenv(asNode + "_DIR"), Blobs: r.blobs, Isolation: level})
	if err != nil {
		panic(err)
	}
	_, err = e.Execute(context.Background(), exec.Request{Action: r.action(brood(mark))}, func() {})
	panic(err)
}

func TestKilledNodeTakesItsActionsAlong(t *testing.T) {
	levels(t, func(t *testing.T, r *rig) {
		mark := "orphan" + strconv.FormatInt(time.Now().UnixNano(), 36)
		scratch := filepath.Join(t.TempDir(), "scratch")
		node := osexec.Command("/proc/self/exe")
		level, _ := r.Isolation()
		node.Env = append(os.Environ(), asNode+"="+mark, asNode+"_DIR="+scratch)
		if level == action.Reduced {
			node.Env = append(node.Env, asNode+"_REDUCED=1")
		}
		node.Stderr = os.Stderr
		if err := node.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, 30*time.Second, "eight processes", func() bool { return running(mark) >= 8 })
		if err := node.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = node.Wait()
		eventually(t, 20*time.Second, "all are dead", func() bool { return running(mark) == 0 })
		if _, err := exec.New(exec.Options{Dir: scratch, Blobs: r.blobs}); err != nil {
			t.Errorf("the next start: %v", err)
		}
		if left, err := os.ReadDir(scratch); err != nil || len(left) > 0 {
			t.Errorf("the next start leaves %v, %v", left, err)
		}
	})
}

// overflowing reads from one store and writes to another.
type overflowing struct {
	store.Blobs
	small *memory.Store
}

// Add implements store.Blobs.
func (o overflowing) Add(ctx context.Context, fn digest.Function, r io.Reader) (digest.Digest, error) {
	return o.small.Add(ctx, fn, r)
}
