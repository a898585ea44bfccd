package exec_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/buildnet/buildnet/node/exec"
)

// groups is an exec.Groups that takes notes.
type groups struct {
	mu      sync.Mutex
	entered int
	refuses bool
	light   bool
	memory  string // of version 2: the directory of the group
}

func (g *groups) Memory() string { return g.memory }

func (g *groups) Weighs() bool { return g.light }

func (g *groups) Enter(int) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.entered++
	if g.refuses {
		return errors.New("no")
	}
	return nil
}

// standing is what the command of an action sees of its own niceness and
// scheduling policy: see proc_pid_stat(5).
func (r *rig) standing(foreign bool) (nice, policy string) {
	r.t.Helper()
	w := sh("cat /proc/self/stat")
	result, err := r.Execute(context.Background(), exec.Request{Action: r.action(w), Name: "test", Foreign: foreign}, func() {})
	if err != nil {
		r.t.Fatal(err)
	}
	text := r.stdout(result)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 39 {
		r.t.Fatalf("stat is %q", text)
	}
	return fields[16], fields[38]
}

// niceness is that of this process.
func niceness(t *testing.T) int {
	t.Helper()
	raw, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
	if err != nil {
		t.Fatal(err)
	}
	return 20 - raw
}

func TestForeignActionsAreInTheirGroup(t *testing.T) {
	own := niceness(t)
	g := &groups{light: true}
	r := newRig(t, func(o *exec.Options) { o.Groups = g })
	if nice, policy := r.standing(false); nice != strconv.Itoa(own) || policy != "0" || g.entered != 0 {
		t.Errorf("an own action: niceness %s, policy %s, in the group %d times", nice, policy, g.entered)
	}
	if nice, policy := r.standing(true); nice != strconv.Itoa(max(own, 10)) || policy != "0" || g.entered != 1 {
		t.Errorf("a foreign action: niceness %s, policy %s, in the group %d times", nice, policy, g.entered)
	}
}

func TestForeignActionsComeLastWhereThereIsNoGroup(t *testing.T) {
	own := niceness(t)
	for name, g := range map[string]exec.Groups{"none": nil, "one that refuses": &groups{refuses: true, light: true}, "one without weight": &groups{}} {
		r := newRig(t, func(o *exec.Options) { o.Groups = g })
		const idle = "5" // SCHED_IDLE
		if nice, policy := r.standing(true); nice != "19" || policy != idle {
			t.Errorf("%s: niceness %s, policy %s", name, nice, policy)
		}
		if nice, policy := r.standing(false); nice != strconv.Itoa(own) || policy != "0" {
			t.Errorf("%s: an own action: niceness %s, policy %s", name, nice, policy)
		}
	}
}
