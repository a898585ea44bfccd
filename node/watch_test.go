package node_test

import (
	"testing"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/node/nodetest"
)

// telling is two steps that say how far they are.
var telling = map[string]string{
	".buildnet/config.yaml": `version: 1
packages:
  - name: p
    steps:
      - run: "echo '[1/4] begun'; sleep 3; cat source > one"
        inputs: [source]
        outputs: [one]
      - run: "echo '50% of it'; sleep 3; cat source > two"
        inputs: [source]
        outputs: [two]
`,
	"source": "source",
}

// What steps say of themselves, and workers of theirs, is in the events of the
// build wherever it runs, and not in its record.
func TestThoseWhoWatchABuildSeeHowFarItIs(t *testing.T) {
	t.Parallel()
	nodes := nodetest.Mesh(t, 2, 1)
	given, far, done, seen := map[string]string{}, map[string]event.TaskProgress{}, map[string]string{}, map[string]bool{}
	build := ""
	err := nodes[0].Client.Build(t.Context(), api.BuildRequest{Dir: nodetest.Tree(t, telling)}, func(line []byte) error {
		e, err := event.Decode(line)
		switch e := e.(type) {
		case event.BuildFinished:
			build = e.Build
			if !e.OK {
				t.Errorf("the build: %+v", e)
			}
		case event.TaskAssignment:
			given[e.Step] = e.Peer
		case event.TaskProgress:
			far[e.Step] = e
		case event.TaskComplete:
			done[e.Step] = e.Peer
			if !e.OK || e.Error != "" || e.RunMS < 1000 {
				t.Errorf("%+v", e)
			}
		case event.WorkerStatus:
			seen[e.Peer] = true
			if e.Slots != 1 || e.Memory <= 0 || e.Share != 1 {
				t.Errorf("%+v", e)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for step, want := range map[string]int{"p:one": 25, "p:two": 50} {
		if e := far[step]; e.Percent != want || e.By != event.Told || e.Peer != given[step] || e.Peer != done[step] {
			t.Errorf("%s: given to %q, %+v, done by %q", step, given[step], e, done[step])
		}
	}
	for step, by := range done {
		if !seen[by] {
			t.Errorf("%s ran on %s, which said nothing of itself: %v", step, by, seen)
		}
	}
	r, err := nodes[0].Client.ShowBuild(t.Context(), build)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range r.Events {
		if e, err := event.Decode(line); err != nil || event.Passing(e) {
			t.Errorf("the record has %s, %v", line, err)
		}
	}
}
