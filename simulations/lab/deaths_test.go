//go:build lab && linux

package lab

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/event"
)

// death is who dies in a build.
type death struct {
	hosts int
	// led says that another than the initiator has to lead.
	led bool
	// to is when at the latest, after the election.
	to time.Duration
	// victims are chosen of the nodes, the initiator's being the first.
	victims func(r *rand.Rand, nodes []*Node, now event.LeaderElected) []int
}

// deaths are survived by every build, whenever they happen. An initiator's leaves
// an heir that is ready; a build without one ends with it, and is resumed by it.
var deaths = map[string]death{
	"leader": {hosts: 4, led: true, to: 4 * time.Second,
		victims: func(_ *rand.Rand, nodes []*Node, now event.LeaderElected) []int {
			return []int{nodeOf(nodes, now.Leader)}
		}},
	"leader and standby": {hosts: 5, led: true, to: 4 * time.Second,
		victims: func(_ *rand.Rand, nodes []*Node, now event.LeaderElected) []int {
			if len(now.Standbys) == 0 {
				return nil
			}
			return []int{nodeOf(nodes, now.Leader), nodeOf(nodes, now.Standbys[0])}
		}},
	"initiator": {hosts: 4, to: 5 * time.Second,
		victims: func(*rand.Rand, []*Node, event.LeaderElected) []int { return []int{0} }},
	"half of the workers": {hosts: 6, led: true, to: 4 * time.Second,
		victims: func(r *rand.Rand, nodes []*Node, now event.LeaderElected) []int {
			workers := slices.DeleteFunc(r.Perm(len(nodes)), func(i int) bool { return i == 0 || nodes[i].Peer == now.Leader })
			return workers[:len(workers)/2]
		}},
	"all workers": {hosts: 4, to: 4 * time.Second,
		victims: func(*rand.Rand, []*Node, event.LeaderElected) []int { return []int{1, 2, 3} }},
	"all nodes": {hosts: 3, to: 4 * time.Second,
		victims: func(*rand.Rand, []*Node, event.LeaderElected) []int { return []int{0, 1, 2} }},
}

func nodeOf(nodes []*Node, peer string) int {
	return slices.IndexFunc(nodes, func(n *Node) bool { return n.Peer == peer })
}

// TestDeaths kills members of a build with kill -9 at drawn moments, LAB_ROUNDS
// times each: the build, whoever attaches to it, or its resumption ends well,
// with the bytes of a build on a host of no mesh, and nothing announced runs
// again.
func TestDeaths(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(deaths)) {
		t.Run(name, func(t *testing.T) {
			d := deaths[name]
			c := &mourners{t: t, r: drawn(t), outside: New(t).Host(2)}
			c.outside.Up()
			c.hosts, c.nodes = Mesh(t, New(t), d.hosts, 0.5, mournersArgs...)
			for try, disturbed := 0, 0; disturbed < roundsOf(t); try++ {
				if try > 4*roundsOf(t) {
					t.Fatalf("of %d builds only %d had not ended when somebody died", try, disturbed)
				}
				if c.survive(d, fmt.Sprintf("death%d", try)) {
					disturbed++
				}
			}
			if n := len(c.succeeded); n > 0 {
				t.Logf("leader's kill to the next one's election: median %v; to its first command: median %v of %v; %d of %d were standbys",
					median(c.succeeded), median(c.commanded), c.commanded, c.standbys, n)
			}
		})
	}
}

var mournersArgs = []string{"--slots", "3"}

// mourners are the hosts of TestDeaths.
type mourners struct {
	t       *testing.T
	r       *rand.Rand
	outside *Host // in no mesh
	hosts   []*Host
	nodes   []*Node
	dead    []*Node
	// succeeded is how long after its leader's death a build had the next one,
	// commanded how long until a step was begun for that one.
	succeeded, commanded []time.Duration
	standbys             int // of those who succeeded
}

// survive disturbs a build. It reports false if that had ended before.
func (c *mourners) survive(d death, tag string) bool {
	c.t.Helper()
	p := Layers{Deep: 7, Broad: 8, Step: 400 * time.Millisecond}
	var dir string
	b := c.begin(d.led, func(try int) *Build {
		p.Tag = fmt.Sprintf("%s.%d", tag, try)
		dir = p.In(c.t, c.hosts[0])
		return c.hosts[0].Start(dir)
	})
	undisturbed := p.In(c.t, c.outside)
	alone := c.outside.Start(undisturbed, "--local", "-j", "50")
	moment := between(c.r, 0, d.to)
	<-time.After(moment)
	reign := leaderOf(b)
	victims := d.victims(c.r, c.nodes, reign)
	if len(victims) == 0 || slices.Contains(victims, -1) {
		c.t.Fatalf("%s: nobody to kill: %+v", tag, reign)
	}
	killed := c.kill(victims)
	defer c.revive(victims)
	if c.isOver(b, killed, victims) {
		alone.Wait()
		return false
	}
	seen := b.seenBy(killed)
	end, tree := c.ending(b, dir, victims, tag)
	status := end.Wait()
	done := len(b.Announced(seen)) == p.Steps() // and that was not told
	if status != 0 && tree != dir && (done || !c.hadHeir(reign.Build, killed)) {
		end, tree = c.resume(dir, victims)
		status = end.Wait()
	}
	if status != 0 && done {
		end = c.hosts[0].Start(dir)
		status = end.Wait()
	}
	if status != 0 {
		c.t.Errorf("%s: %v died %v after the election with %d of %d announced; exit status %d: %s %+v", tag, victims, moment, len(b.Announced(seen)), p.Steps(), status, end.Stderr(), last(end.Events(), 3))
		return true
	}
	took := time.Since(killed)
	if status = alone.Wait(); status != 0 {
		c.t.Fatalf("%s: on a host of no mesh: exit status %d: %s", tag, status, alone.Stderr())
	}
	SameOutputs(c.t, Outputs(c.t, tree), Outputs(c.t, undisturbed))
	c.nothingAgain(b, seen, tag)
	if slices.Contains(victims, nodeOf(c.nodes, reign.Leader)) {
		c.succession(b, reign, killed)
	}
	c.t.Logf("%s: %v died %.1f s after the election with %d of %d steps announced; all is done %.1f s later, in epoch %d of %s",
		tag, victims, moment.Seconds(), len(b.Announced(seen)), p.Steps(), took.Seconds(), end.Finished().Epoch, end.Finished().Build)
	return true
}

// begin starts a build and waits until it is led, by another if that matters.
func (c *mourners) begin(led bool, start func(try int) *Build) *Build {
	c.t.Helper()
	if led {
		b, _, _ := ledByAnother(c.t, c.nodes, start)
		return b
	}
	b := start(0)
	elected(b)
	return b
}

// leaderOf is who leads a build now.
func leaderOf(b *Build) (reign event.LeaderElected) {
	for _, e := range b.Events() {
		if le, ok := e.(event.LeaderElected); ok {
			reign = le
		}
	}
	return reign
}

// kill ends nodes at the same time.
func (c *mourners) kill(victims []int) time.Time {
	killed := time.Now()
	var wg sync.WaitGroup
	for _, v := range victims {
		wg.Go(c.nodes[v].Kill)
	}
	wg.Wait()
	return killed
}

// revive starts nodes that are dead, and waits until the first host knows all.
func (c *mourners) revive(victims []int) {
	c.t.Helper()
	for _, v := range victims {
		select {
		case <-c.nodes[v].done:
			c.dead = append(c.dead, c.nodes[v])
			c.nodes[v] = c.hosts[v].Up(mournersArgs...)
		default:
		}
	}
	Await(c.t, c.hosts[0], len(c.hosts), time.Minute)
}

// isOver reports whether a build had told its end before somebody died, or has
// none to tell, since its command died then.
func (c *mourners) isOver(b *Build, killed time.Time, victims []int) bool {
	if slices.Contains(victims, 0) {
		b.Wait()
		return b.ended()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	_, ended := b.events[len(b.events)-1].(event.BuildFinished)
	return ended && b.at[len(b.at)-1].Before(killed)
}

// ending is what is to end well, and where its outputs are: the build itself,
// what follows it elsewhere if its initiator is dead, or its resumption if all
// are.
func (c *mourners) ending(b *Build, dir string, victims []int, tag string) (end *Build, tree string) {
	c.t.Helper()
	switch {
	case len(victims) == len(c.nodes):
		return c.resume(dir, victims)
	case slices.Contains(victims, 0):
		by := c.hosts[1+c.r.IntN(len(c.hosts)-1)]
		tree = filepath.Join(by.Dir, "rescued-"+tag)
		return by.Attach(leaderOf(b).Build, tree), tree
	}
	return b, dir
}

// resume goes on with a build where it was asked for.
func (c *mourners) resume(dir string, victims []int) (end *Build, tree string) {
	c.t.Helper()
	c.revive(victims)
	return c.hosts[0].Invoke("build", "--json", "-C", dir, "--resume"), dir
}

// hearsOf is how long the leader of a build may take, on a busy machine, to hear that
// the heir is ready.
const hearsOf = 500 * time.Millisecond

var ready = regexp.MustCompile(`time=(\S+) .*msg="ready to go on with a build" build=(\S+) `)

// hadHeir reports whether a member could have gone on with a build when its initiator
// died.
func (c *mourners) hadHeir(build string, died time.Time) bool {
	c.t.Helper()
	for _, n := range append(c.dead, c.nodes...) {
		for _, m := range ready.FindAllStringSubmatch(n.Log(), -1) {
			at, err := time.Parse(time.RFC3339, m[1])
			if err != nil {
				c.t.Fatalf("host %s logs %q", n.host.Name, m[0])
			}
			if m[2] == build && at.Before(died.Add(-hearsOf)) {
				return true
			}
		}
	}
	return false
}

// seenBy counts the events that were read by a moment.
func (b *Build) seenBy(at time.Time) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, _ := slices.BinarySearchFunc(b.at, at, time.Time.Compare)
	return n
}

// nothingAgain checks that what a build had announced when somebody died was not
// announced again, and is begun nowhere since: by the word of the build, and by
// what all nodes have logged, the dead ones too.
func (c *mourners) nothingAgain(b *Build, seen int, tag string) {
	c.t.Helper()
	before, steps := b.Announced(seen), map[string]bool{}
	for i, e := range b.Events() {
		switch e := e.(type) {
		case event.StepFinished:
			if steps[e.Step] {
				c.t.Errorf("%s: %s is announced again", tag, e.Step)
			}
			steps[e.Step] = true
		case event.StepStarted:
			if steps[e.Step] {
				c.t.Errorf("%s: %s is begun on %s after it was announced, event %d of which %d came before the death", tag, e.Step, e.Peer, i, seen)
			}
		}
	}
	for _, n := range append(c.dead, c.nodes...) {
		for _, x := range n.Executions("") {
			if at, announced := before[x.Action]; announced && x.Began.After(at) {
				c.t.Errorf("%s: action %s was announced at %v, and begun for %s at %v on %s", tag, x.Action, at, x.Build, x.Began, n.host.Name)
			}
		}
	}
}

// succession notes how long a build was without the leader that it lost.
func (c *mourners) succession(b *Build, reign event.LeaderElected, killed time.Time) {
	events := b.Events()
	var crowned time.Duration
	for i, e := range events {
		at := b.at[i].Sub(killed)
		switch e := e.(type) {
		case event.LeaderElected:
			if crowned == 0 && e.Epoch > reign.Epoch {
				crowned = at
				if slices.Contains(reign.Standbys, e.Leader) {
					c.standbys++
				}
			}
		case event.StepStarted:
			if crowned > 0 {
				c.succeeded, c.commanded = append(c.succeeded, crowned), append(c.commanded, at)
				return
			}
		}
	}
}
