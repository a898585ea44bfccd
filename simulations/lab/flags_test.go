//go:build lab && linux

package lab

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/event"
)

// TestLocalForceAndJobs checks the flags that say what a build may use.
func TestLocalForceAndJobs(t *testing.T) {
	l := New(t)
	hosts, nodes := Mesh(t, l, 2, 0.6, "--slots", "3")
	s := Sleepy{Tag: "flags", Parts: 12, Step: 400 * time.Millisecond}
	dirs := make([]string, len(hosts))
	for i, h := range hosts {
		dirs[i] = s.In(t, h)
	}
	if _, f := hosts[0].Build(dirs[0]); !s.executedAll(f) {
		t.Errorf("the first build: %+v", f)
	}

	_, f := hosts[1].Build(dirs[1], "--local", "--force")
	if f.Executed != s.Steps() || f.RunRemote != 0 || f.RunLocal != s.Steps() || f.BytesIn != 0 || f.CachedMesh != 0 {
		t.Errorf("--local --force: %+v", f)
	}
	if n := len(nodes[0].Executions(f.Build)); n != 0 {
		t.Errorf("--local: the other host executed %d steps", n)
	}
	s.Check(t, dirs[1])

	b := hosts[0].Start(dirs[0], "--force", "-j", "2")
	most := 0
	for running(b) {
		most = max(most, sleepers(hosts, "0.40"))
		<-time.After(50 * time.Millisecond)
	}
	if f = b.Finished(); f.Executed != s.Steps() {
		t.Errorf("--force: %+v", f)
	}
	if most != 2 {
		t.Errorf("-j 2: %d steps ran at once", most)
	}
	if len(f.Differs) > 0 {
		t.Errorf("results that do not differ are said to: %v", f.Differs)
	}
}

// TestStepsOfTheInitiatorAlone checks what a step without a sandbox may do, and
// that --force names what is not the same twice.
func TestStepsOfTheInitiatorAlone(t *testing.T) {
	l := New(t)
	hosts, nodes := Mesh(t, l, 2, 0.6, "--slots", "2")
	tree := map[string]string{".buildnet/config.yaml": `version: 1
packages:
  - name: part
    sources: [in.txt]
    tools: [sh, cat, date, hostname, sleep]
    steps:
      - foreach: "src/*"
        run: "sleep 0.2; cat {in} > {stem}.out"
        outputs: ["{stem}.out"]
      - run: "hostname > where.txt"
        sandbox: none
        outputs: [where.txt]
      - run: "date +%N > time.txt"
        outputs: [time.txt]
`, "in.txt": "x\n"}
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		tree["src/"+name] = name
	}
	dir, second := filepath.Join(hosts[1].Dir, "part"), filepath.Join(hosts[0].Dir, "part")
	WriteTree(t, dir, tree)
	WriteTree(t, second, tree)
	b, f := hosts[1].Build(dir)
	if !slices.Equal(f.Uncached, []string{"part:where.txt"}) {
		t.Errorf("uncached: %v", f.Uncached)
	}
	where := ""
	b.Until(func(e event.Event) bool {
		if s, ok := e.(event.StepFinished); ok && s.Step == "part:where.txt" {
			where = s.Peer
		}
		return false
	})
	if where != nodes[1].Peer {
		t.Errorf("a step without a sandbox ran on %s, the initiator is %s", where, nodes[1].Peer)
	}
	if _, f = hosts[1].Build(dir, "--force"); !slices.Contains(f.Differs, "part:time.txt") || slices.Contains(f.Differs, "part:a.out") {
		t.Errorf("--force says that these differ: %v", f.Differs)
	}
	if _, f = hosts[0].Build(second); f.Executed != 1 || f.RunLocal != 1 {
		t.Errorf("on another host all but the step without a sandbox is known: %+v", f)
	}
}
