package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/buildnet/buildnet/node"
	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/node/exec"
	"github.com/buildnet/buildnet/node/nodetest"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store"
)

func TestStepsThatWereGivenUpAreListedAndBuiltAgain(t *testing.T) {
	m := newMachine(t)
	again := api.BuildRequest{Dir: m.project, KeepGoing: true, Jobs: 3}
	other := api.BuildRequest{Dir: m.project, Force: true}
	letter := func(id, step string, r api.BuildRequest) api.DeadLetter {
		r.Targets = []string{step}
		return api.DeadLetter{
			ID: id, At: time.Now().Add(-time.Hour), Build: "b7", Root: m.project, Step: step, Again: r,
			Cause: "5 tries came to nothing, the last one: no room\nmore", Tries: []api.DeadTry{
				{Peer: "peer-one", Name: "hostA", Cause: "no room"}, {Peer: "peer-two", Cause: "cut off"}, {Peer: "peer-one", Name: "hostA", Cause: "no room"},
			},
		}
	}
	m.run("queue", "dead").want(t, 0, "", "no step was given up")
	m.run("queue", "retry", "--all").want(t, 0, "", "no step was given up")
	m.node.Letters = []api.DeadLetter{letter("aa11", "p:one", again), letter("aa22", "p:two", other), letter("bb33", "p:three", again)}
	m.up()
	m.run("queue", "dead").want(t, 0, "aa11  p:one of "+m.project+", 1 hour ago, in build b7\n  5 tries came to nothing, the last one: no room\n    hostA: no room (2 times)\n    peer-two: cut off\n", "")
	var listed []api.DeadLetter
	if r := m.run("queue", "dead", "--json"); json.Unmarshal([]byte(r.out), &listed) != nil || len(listed) != 3 || listed[2].Again.Jobs != 3 {
		t.Errorf("listed: %s", r.out)
	}
	for args, text := range map[string]string{
		"": "name the steps", "aa11 --all": "name the steps", "aa": "IDs of 2 steps", "cc": "no step that was given up has",
	} {
		m.run(append([]string{"queue", "retry"}, strings.Fields(args)...)...).want(t, 2, "", text)
	}
	m.run("queue", "retry", "bb", "aa11").want(t, 0, "built:", "")
	m.run("queue", "retry", "--all", "--json").want(t, 0, `{"event":"build.finished"`, "")
	var asked []api.BuildRequest
	for _, q := range m.node.Asked() {
		if r, ok := q.(api.BuildRequest); ok {
			if r.Env["A"] != "1" {
				t.Errorf("it has not the environment of the command: %v", r.Env)
			}
			r.Env, r.UID, r.Tree = nil, 0, nil
			asked = append(asked, r)
		}
	}
	with := func(r api.BuildRequest, targets ...string) api.BuildRequest { r.Targets = targets; return r }
	if diff := cmp.Diff([]api.BuildRequest{
		with(again, "p:three", "p:one"), with(again, "p:one", "p:three"), with(other, "p:two"),
	}, asked); diff != "" {
		t.Error(diff)
	}
	m.node.OnBuild = script(event.BuildFinished{Build: "b", Failed: 1})
	m.run("queue", "retry", "--all").want(t, 1, "FAILED", "")
	if n := len(m.node.Asked()); n != 5 {
		t.Errorf("%d builds: one that fails keeps others from being made", n)
	}
}

func TestStepsOfAnotherUsersTreeAreBuiltAgainByNameAlone(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("it takes root to give a directory to another user")
	}
	m := newMachine(t)
	others := t.TempDir()
	if err := os.Chown(others, 4711, 4711); err != nil {
		t.Fatal(err)
	}
	m.node.Letters = []api.DeadLetter{{ID: "aa11", Root: others, Step: "p:one", Again: api.BuildRequest{Dir: others}}}
	m.up()
	m.run("queue", "retry", "--all").want(t, 0, "", "p:one is left to the owner of "+others)
	if n := len(m.node.Asked()); n != 0 {
		t.Errorf("%d builds", n)
	}
	m.run("queue", "retry", "aa11").want(t, 0, "built:", "")
}

// sick is what runs the actions of a machine that fails until it is mended.
type sick struct {
	*exec.Executor
	mended atomic.Bool
}

// Execute implements node.Executor.
func (s *sick) Execute(ctx context.Context, r exec.Request, started func()) (*action.Result, error) {
	if !s.mended.Load() {
		return nil, errors.New("its disk answers with garbage")
	}
	return s.Executor.Execute(ctx, r, started)
}

// machine makes the node's machine of it.
func (s *sick) machine(t *testing.T) node.Machine {
	return node.Machine{Executor: func(blobs store.Blobs) (node.Executor, error) {
		var err error
		s.Executor, err = exec.New(exec.Options{Dir: filepath.Join(t.TempDir(), "scratch"), Blobs: blobs})
		return s, err
	}}
}

func TestAStepThatNoMachineCanDoIsADeadLetterUntilOneCan(t *testing.T) {
	var here, there sick
	first := nodetest.StartOn(t, here.machine(t), 1, "")
	inv, err := first.Client.Invite(t.Context(), api.InviteRequest{Reach: api.Everywhere})
	if err != nil {
		t.Fatal(err)
	}
	nodetest.StartOn(t, there.machine(t), 1, inv.Token).Meets(t, 2)
	first.Meets(t, 2)
	root := nodetest.Tree(t, map[string]string{
		".buildnet/config.yaml": "version: 1\npackages:\n  - name: p\n    steps:\n" +
			"      - run: \"cat source > made\"\n        inputs: [source]\n        outputs: [made]\n" +
			"      - run: \"exit 1\"\n        inputs: [source]\n        outputs: [never]\n",
		"source": "text\n",
	})
	m := newMachine(t)
	buildnet := func(args ...string) ran {
		return m.run(append([]string{"--home", first.Home}, args...)...)
	}
	buildnet("build", "-C", root, "p:made", "--keep-going").want(t, 1, "1 failed", "tries came to nothing, the last one: ")
	var letters []api.DeadLetter
	if r := buildnet("queue", "dead", "--json"); r.status != 0 || json.Unmarshal([]byte(r.out), &letters) != nil || len(letters) != 1 {
		t.Fatalf("status %d, letters: %s%s", r.status, r.out, r.talked)
	}
	l := letters[0]
	for _, try := range l.Tries {
		if !strings.Contains(try.Cause, "its disk answers with garbage") || try.Name == "" || try.At.IsZero() {
			t.Errorf("try: %+v", try)
		}
	}
	if len(l.Tries) != steal.MaxTries || l.Step != "p:made" || l.Root != root || !l.Again.KeepGoing {
		t.Errorf("letter: %+v", l)
	}
	buildnet("queue", "retry", l.ID[:4]).want(t, 1, "1 failed", "")
	here.mended.Store(true)
	there.mended.Store(true)
	buildnet("queue", "dead").want(t, 0, l.ID, "")
	buildnet("queue", "retry", "--all").want(t, 0, "1 executed", "")
	buildnet("queue", "dead").want(t, 0, "", "no step was given up")
	if made, err := os.ReadFile(filepath.Join(root, "made")); err != nil || string(made) != "text\n" {
		t.Errorf("it made %q, %v", made, err)
	}
	buildnet("build", "-C", root).want(t, 1, "1 failed", "exit 1")
	buildnet("queue", "dead").want(t, 0, "", "no step was given up") // a command that fails is none
}
