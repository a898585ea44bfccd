//go:build lab && linux

package lab

import (
	"testing"
	"time"
)

// TestAllNodesAreLost kills every node of a build at once, starts them again,
// and resumes: it is the same build, and nothing announced runs again.
func TestAllNodesAreLost(t *testing.T) {
	l := New(t)
	hosts, nodes := Mesh(t, l, 2, 0.6, "--slots", "3")
	s := Sleepy{Tag: "blackout", Parts: 40, Step: 500 * time.Millisecond}
	dir := s.In(t, hosts[0])
	b := hosts[0].Start(dir, "--keep-going")
	id := idOf(t, b, readyAfter)
	if !finishedSteps(b, 5) {
		t.Fatalf("the build ended early: %s", b.Stderr())
	}
	for _, n := range nodes {
		n.Kill()
	}
	b.Wait()
	before := b.Announced(len(b.Events()))
	for i := range nodes {
		nodes[i] = hosts[i].Up("--slots", "3")
	}
	Await(t, hosts[0], 2, 15*time.Second)
	again := hosts[0].Invoke("build", "--json", "-C", dir, "--resume")
	if status := again.Wait(); status != 0 {
		t.Fatalf("exit status %d: %s", status, again.Stderr())
	}
	s.Check(t, dir)
	f := again.Finished()
	if f.Build != id {
		t.Errorf("build %s was resumed as %s", id, f.Build)
	}
	if f.Executed > s.Steps()-len(before) {
		t.Errorf("%d of %d steps were announced, %d were executed again and since", len(before), s.Steps(), f.Executed)
	}
	for _, n := range nodes {
		for _, x := range n.Executions(id) {
			if _, announced := before[x.Action]; announced {
				t.Errorf("action %s was announced before, and begun at %v on %s", x.Action, x.Began, n.host.Name)
			}
		}
	}
	if o := hosts[0].Buildnet("build", "-C", dir, "--resume"); o.Exit == 0 {
		t.Errorf("a build that has ended is resumed: %+v", o)
	}
}
