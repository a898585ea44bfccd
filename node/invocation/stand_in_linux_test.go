package invocation_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/buildnet/buildnet/node"
	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/api/client"
	"github.com/buildnet/buildnet/node/event"
	nodeexec "github.com/buildnet/buildnet/node/exec"
	"github.com/buildnet/buildnet/node/invocation"
	"github.com/buildnet/buildnet/node/nodetest"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
)

// standIn is an executor that runs nothing.
type standIn struct {
	blobs   store.Blobs
	execute func(ctx context.Context, blobs store.Blobs) (*action.Result, error)
}

// Execute implements node.Executor.
func (s standIn) Execute(ctx context.Context, _ nodeexec.Request, started func()) (*action.Result, error) {
	started()
	return s.execute(ctx, s.blobs)
}

// Isolation implements node.Executor.
func (standIn) Isolation() (action.Isolation, string) { return action.Full, "" }

func startWith(t *testing.T, slots int, execute func(context.Context, store.Blobs) (*action.Result, error)) *nodetest.Node {
	t.Helper()
	return nodetest.StartOn(t, node.Machine{Executor: func(blobs store.Blobs) (node.Executor, error) {
		return standIn{blobs, execute}, nil
	}}, slots, "")
}

// says is a result of a command that failed with these words.
func says(words string) func(context.Context, store.Blobs) (*action.Result, error) {
	return func(ctx context.Context, blobs store.Blobs) (*action.Result, error) {
		d, err := store.AddBytes(ctx, blobs, []byte(words))
		return &action.Result{ExitCode: 1, Stdout: d, Isolation: action.Full}, err
	}
}

// A compile that does not find elsewhere what is here is run here, and that counts.
func TestWhatAnotherMachineLacksIsRunHere(t *testing.T) {
	b := newBench(t, startWith(t, 1, says("s/a.cc:2:10: fatal error: a.h: No such file or directory\ncompilation terminated.\n")), project)
	b.begin(api.InvocationRequest{Whole: true})
	r := b.run(compileA)
	if len(r.Local) != 1 || !strings.Contains(r.Local[0], "not believed") {
		t.Fatalf("%+v", r)
	}
	said, code := b.plainly(compileA)
	r.Release()
	if code != 0 {
		t.Fatalf("exit %d: %s", code, said)
	}
	reason := r.Local[0]
	if f := b.end(); f.Executed != 1 || f.RunLocal != 1 || f.LocalReasons[reason] != 1 || !f.OK {
		t.Errorf("%+v", f)
	}
	finished := b.events[len(b.events)-2].(event.StepFinished)
	if finished.Step != "o/a.o" || !slices.Equal(finished.Here, []string{reason}) || finished.Why != "it was asked for" || finished.Key == nil {
		t.Errorf("%+v", finished)
	}
}

// A client that goes before it has its result cancels the step, and one that goes
// altogether the invocation.
func TestClientsThatGoCancelWhatTheyAskedFor(t *testing.T) {
	begun, ended := make(chan struct{}, 2), make(chan struct{}, 2)
	n := startWith(t, 2, func(ctx context.Context, _ store.Blobs) (*action.Result, error) {
		begun <- struct{}{}
		<-ctx.Done()
		ended <- struct{}{}
		return nil, ctx.Err()
	})
	b := newBench(t, n, project)
	b.begin(api.InvocationRequest{Whole: true})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-begun; cancel() }()
	if r, err := n.Client.RunCommand(ctx, b.id, api.Command{Dir: b.dir, Argv: strings.Fields(compileA)}); err == nil {
		t.Errorf("a command that was given up: %+v", r)
	}
	<-ended
	go func() { <-begun; b.cancel() }()
	if r, err := n.Client.RunCommand(t.Context(), b.id, api.Command{Dir: b.dir, Argv: strings.Fields(compileB)}); err == nil {
		t.Errorf("a command whose invocation was given up: %+v", r)
	}
	<-ended
	<-b.done
	records, err := n.Client.Builds(t.Context(), 1)
	if err != nil || len(records) != 1 || !strings.Contains(string(records[0].Summary), `"cancelled":true`) || !strings.Contains(string(records[0].Summary), `"not_run":2`) {
		t.Errorf("%+v, %v", records, err)
	}
	if _, err := n.Client.RunCommand(t.Context(), b.id, api.Command{Dir: b.dir, Argv: strings.Fields(compileB)}); err == nil || !strings.Contains(err.Error(), "no invocation") {
		t.Errorf("a command of an invocation that is over: %v", err)
	}
}

// The node writes with its own rights: to nobody else's files.
func TestCommandsOfAnotherUserAreForThem(t *testing.T) {
	n := startWith(t, 1, says("no"))
	b := newBench(t, n, project)
	b.begin(api.InvocationRequest{})
	r, err := n.API().RunCommand(t.Context(), b.id, api.Command{Dir: b.dir, Argv: strings.Fields(compileB), Env: b.env, UID: os.Geteuid() + 1})
	if err != nil || len(r.Local) != 1 || !strings.Contains(r.Local[0], "another user") {
		t.Fatalf("%+v, %v", r, err)
	}
	r.Release()
	r.Release() // no more than once
	if f := b.end(); f.RunLocal != 1 || f.LocalReasons[r.Local[0]] != 1 {
		t.Errorf("%+v", f)
	}
}

func TestWhatIsOnlyForTheClient(t *testing.T) {
	b := newBench(t, startWith(t, 1, says("no")), project)
	b.begin(api.InvocationRequest{Whole: true})
	for command, want := range map[string]string{
		"true":                       "not a C or C++ compiler",
		"gcc -E s/b.c":               "only preprocesses",
		"gcc -c s/none.c -o o/b.o":   "s/none.c",
		"gcc -c s/b.c -o gone/dir.o": "gone",
	} {
		r := b.run(command)
		if len(r.Local) == 0 {
			t.Fatalf("%s: %+v", command, r)
		}
		if !strings.Contains(strings.Join(r.Local, "; "), want) {
			t.Errorf("%s: %+v", command, r)
		}
		r.Release()
	}
	r, err := b.node.Client.RunCommand(t.Context(), b.id, api.Command{Dir: b.dir, Argv: strings.Fields(compileB), Local: "the console pool"})
	if err != nil || !slices.Equal(r.Local, []string{"the console pool"}) {
		t.Fatalf("%+v, %v", r, err)
	}
	r.Release()
	if f := b.end(); f.RunLocal != 5 || f.Executed != 5 || f.LocalReasons["the console pool"] != 1 {
		t.Errorf("%+v", f)
	}
}

// nested is what a command of a command asks for, in a process of its own.
const nested = "INVOCATION_NESTED"

func TestMain(m *testing.M) {
	if what, is := os.LookupEnv(nested); is {
		os.Exit(askNested(strings.Split(what, "\n")))
	}
	os.Exit(m.Run())
}

func askNested(of []string) int {
	r, err := client.New(of[0]).RunCommand(context.Background(), of[1], api.Command{Dir: "/", Argv: []string{"true"}})
	if err != nil || len(r.Local) == 0 {
		return 1
	}
	fmt.Println(r.Local[0])
	if len(of) > 2 { // it is the command from now on
		if of[2] == "killed" {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		status, _ := strconv.Atoi(of[2])
		return status
	}
	r.Release()
	return 0
}

// A client that becomes its command says nothing of how that ended; it is seen.
func TestCommandsThatTheirClientsBecome(t *testing.T) {
	b := newBench(t, startWith(t, 1, says("no")), project)
	b.begin(api.InvocationRequest{})
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, status := range []string{"0", "3", "killed"} {
		c := exec.CommandContext(t.Context(), self)
		c.Env = append(os.Environ(), nested+"="+b.node.Home+"\n"+b.id+"\n"+status)
		if err := c.Run(); (err == nil) != (status == "0") {
			t.Fatalf("%s: %v", status, err)
		}
	}
	f := b.end()
	if _, known := endOf(t, "exit 3"); !known {
		t.Skip("this kernel cannot tell how a process of others has ended")
	}
	if f.Failed != 2 || f.Executed != 1 || f.RunLocal != 3 || f.NotRun != 0 {
		t.Errorf("%+v", f)
	}
	var codes []int
	for _, e := range b.events {
		if s, is := e.(event.StepFinished); is && s.Failure != nil {
			codes = append(codes, s.Failure.ExitCode)
		}
	}
	if slices.Sort(codes); !slices.Equal(codes, []int{-1, 3}) {
		t.Errorf("exit codes %v", codes)
	}
}

// Where the system cannot tell, as of a process that goes on, a compile that has made
// nothing has failed.
func TestCompilesThatMakeNothingHaveFailed(t *testing.T) {
	b := newBench(t, startWith(t, 1, says("no")), project)
	b.write("s/when.c", "const char *when = __TIMESTAMP__;\n")
	b.begin(api.InvocationRequest{})
	for _, makes := range []bool{true, false} {
		r, err := b.node.API().RunCommand(t.Context(), b.id, api.Command{Dir: b.dir, Argv: strings.Fields("gcc -c s/when.c -o o/when.o"), Env: b.env, UID: os.Geteuid(), PID: os.Getppid()})
		if err != nil || len(r.Local) == 0 {
			t.Fatalf("%+v, %v", r, err)
		}
		if makes {
			b.write("o/when.o", "")
		} else {
			b.taken("o/when.o")
		}
		r.Release()
	}
	if f := b.end(); f.Failed != 1 || f.Executed != 1 {
		t.Errorf("%+v", f)
	}
}

// endOf is what can be seen of how a process ends.
func endOf(t *testing.T, script string) (status int, known bool) {
	t.Helper()
	c := exec.CommandContext(t.Context(), "/bin/sh", "-c", "read x; "+script)
	in, err := c.StdinPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	ended := invocation.Watch(c.Process.Pid)
	_ = in.Close()
	_ = c.Wait()
	return ended()
}

func TestHowAProcessEnds(t *testing.T) {
	for script, want := range map[string]int{"exit 0": 0, "exit 7": 7, "kill -9 $$": -1} {
		if status, known := endOf(t, script); known && status != want {
			t.Errorf("%s: %d", script, status)
		}
	}
	if status, known := invocation.Watch(0)(); known {
		t.Errorf("no process: %d", status)
	}
}

// A client in a container has other files at the paths that it names.
func TestClientsThatSeeOtherFilesRunTheirCommands(t *testing.T) {
	b := newBench(t, startWith(t, 1, says("no")), project)
	b.begin(api.InvocationRequest{})
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ask := func(flags uintptr, script string) string {
		inner := exec.CommandContext(t.Context(), "/bin/sh", "-c", script)
		inner.Env = append(os.Environ(), nested+"="+b.node.Home+"\n"+b.id, "SELF="+self, "DIR="+b.dir)
		inner.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
		out, err := inner.CombinedOutput()
		if err != nil && flags != 0 && inner.ProcessState == nil {
			t.Skip(err)
		}
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	for _, c := range []struct {
		flags  uintptr
		script string
		other  bool
	}{
		{0, `"$SELF"; exit $?`, false},
		{syscall.CLONE_NEWNS, `"$SELF"; exit $?`, false},
		{syscall.CLONE_NEWNS, `mount --make-rprivate / && mount --bind "$DIR/s" "$DIR/o" && "$SELF"; exit $?`, true},
	} {
		if why := ask(c.flags, c.script); strings.Contains(why, "other files") != c.other {
			t.Errorf("%s: %s", c.script, why)
		}
	}
	b.end()
}

// A make that has the only slot waits for what it runs, which needs one too.
func TestWhatACommandRunsIsWithinItsSlot(t *testing.T) {
	b := newBench(t, startWith(t, 1, says("no")), project)
	b.begin(api.InvocationRequest{})
	outer := b.run("make")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	inner := exec.CommandContext(t.Context(), "/bin/sh", "-c", self+"; exit $?")
	inner.Env = append(os.Environ(), nested+"="+b.node.Home+"\n"+b.id)
	if out, err := inner.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	outer.Release()
	if f := b.end(); f.RunLocal != 2 {
		t.Errorf("%+v", f)
	}
}

// What a client says of a command that it has run is in the records.
func TestCommandsThatFailForTheirClients(t *testing.T) {
	b := newBench(t, startWith(t, 2, says("no")), project)
	b.begin(api.InvocationRequest{Whole: true})
	good := b.run("true")
	bad := b.run("false a b")
	for step, known := range map[string]bool{bad.Step: true, "other": false} {
		err := b.node.Client.FailCommand(t.Context(), b.id, api.CommandFailure{Step: step, ExitCode: 3, Output: "it is bad\n"})
		if (err == nil) != known {
			t.Errorf("%s: %v", step, err)
		}
	}
	bad.Release()
	good.Release()
	if err := b.node.Client.FailCommand(t.Context(), b.id, api.CommandFailure{Step: good.Step, ExitCode: 1}); err == nil {
		t.Error("one that is over has failed")
	}
	if f := b.end(); f.Failed != 1 || f.Executed != 1 || f.RunLocal != 2 {
		t.Errorf("%+v", f)
	}
	for _, e := range b.events {
		s, is := e.(event.StepFinished)
		if is && s.Step == bad.Step && (s.Status != event.Failed || s.Failure.ExitCode != 3 || s.Failure.Output != "it is bad\n" || len(s.Failure.Command) != 3) {
			t.Errorf("%+v, %+v", s, s.Failure)
		}
	}
}
