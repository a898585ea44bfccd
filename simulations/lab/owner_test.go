//go:build lab && linux

package lab

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/api"
)

const (
	// yieldTime is within what others are to be out of the owner's way.
	yieldTime = 2 * time.Second
	// lowShare is the most that they have of the machine then: they count a tenth
	// of what the owner runs, and less where they yield.
	lowShare = 0.2
	// returnTime is how long they may take to come back, on a busy machine.
	returnTime = 40 * time.Second
)

// TestTheOwnerGoesFirst has the owner of a machine want all of it while steps of
// another machine's build run there.
func TestTheOwnerGoesFirst(t *testing.T) {
	NeedQuota(t)
	for _, yield := range []string{"off", "on"} {
		t.Run("yield "+yield, func(t *testing.T) {
			l := New(t)
			hosts, _ := Mesh(t, l, 2, 0.6)
			owned := hosts[1]
			if o := owned.Buildnet("node", "set", "--yield", yield); o.Exit != 0 {
				t.Fatalf("node set: exit status %d: %s", o.Exit, o.Stderr)
			}
			p := Burn{Tag: "burns-for-others-" + yield, Parts: 6}
			b := hosts[0].Start(p.In(t, hosts[0]))
			within(t, returnTime, "steps run on the owner's machine", func() bool { return owned.burnt(p.Tag) > 300*time.Millisecond })

			alone, _ := shares(owned, p.Tag, 2*time.Second)
			hogs := owned.hog()
			<-time.After(yieldTime)
			beside, share := shares(owned, p.Tag, 4*time.Second)
			if share > lowShare {
				t.Errorf("%v after the owner came, the work of others has %.0f %% of what both use", yieldTime, 100*share)
			}
			lent := lentBy(t, owned)
			if yield == "on" && (lent.Slots != 0 || lent.Why != "in_use") {
				t.Errorf("others may use %+v", lent)
			}
			for _, p := range hogs {
				p.Kill()
				p.Wait()
			}
			left := time.Now()
			var after float64
			within(t, returnTime, "others have the machine back", func() bool {
				after, _ = shares(owned, p.Tag, time.Second)
				return after > alone/2 && lentBy(t, owned).Slots == lent.Of
			})
			t.Logf("processors for others: %.2f before, %.3f beside the owner (%.1f %% of what both use; %s), %.2f again %v after",
				alone, beside, 100*share, lent.Text, after, time.Since(left).Round(time.Second))
			b.Interrupt()
			b.Wait()
			for _, h := range hosts {
				Await(t, h, 2, 30*time.Second)
			}
		})
	}
}

// hog is an owner who wants all of the processors: one program runs on each, and
// another waits there.
func (h *Host) hog() (all []*Process) {
	for range 2 * runtime.NumCPU() {
		all = append(all, h.Spawn("sh", "-c", ": the-owners; while :; do :; done"))
	}
	return all
}

// shares looks at a host for a while: at the processors that the work of others
// uses, and at its share of what it and the owner use.
func shares(h *Host, tag string, d time.Duration) (used, share float64) {
	others, owner, began := h.burnt(tag), h.burnt("the-owners"), time.Now()
	<-time.After(d)
	o, w := (h.burnt(tag) - others).Seconds(), (h.burnt("the-owners") - owner).Seconds()
	if o+w > 0 {
		share = o / (o + w)
	}
	return o / time.Since(began).Seconds(), share
}

func lentBy(t *testing.T, h *Host) api.Lent {
	t.Helper()
	o := h.Buildnet("node", "status", "--json")
	var s api.Status
	if err := json.Unmarshal([]byte(o.Stdout), &s); err != nil {
		t.Fatalf("host %s: node status: exit status %d: %v: %s%s", h.Name, o.Exit, err, o.Stdout, o.Stderr)
	}
	return s.Lent
}

// within waits for what is to become true.
func within(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", limit, what)
		}
		<-time.After(100 * time.Millisecond)
	}
}

// busyTime is how long every host is busy in TestNobodyDiesOfLoad:
// BUILDNET_LAB_BUSY, or half a minute.
func busyTime(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("BUILDNET_LAB_BUSY")
	if text == "" {
		return 30 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("BUILDNET_LAB_BUSY: %v", err)
	}
	return d
}

// TestNobodyDiesOfLoad builds on hosts whose owners want all of them.
func TestNobodyDiesOfLoad(t *testing.T) {
	NeedQuota(t)
	l := New(t)
	hosts, nodes := Mesh(t, l, 3, 0.5)
	for _, h := range hosts {
		h.hog()
	}
	end := time.Now().Add(busyTime(t))
	builds, suspected := 0, 0
	for time.Now().Before(end) {
		builds++
		p := Sleepy{Tag: fmt.Sprint("busy", builds), Parts: 60, Step: 100 * time.Millisecond}
		dir := p.In(t, hosts[0])
		b := hosts[0].Start(dir)
		if status := b.Wait(); status != 0 {
			t.Fatalf("build %d: exit status %d: %s", builds, status, b.Stderr())
		}
		p.Check(t, dir)
		for _, h := range hosts {
			for _, m := range h.Members() {
				switch m.State {
				case "alive":
				case "suspect":
					suspected++
				default:
					t.Errorf("host %s takes %s for %s", h.Name, m.Name, m.State)
				}
			}
		}
	}
	for i, n := range nodes {
		if n.Peer == "" || len(hosts[i].Members()) != len(hosts) {
			t.Errorf("host %s lists %v", hosts[i].Name, hosts[i].Members())
		}
	}
	t.Logf("%d builds in %v on hosts at 100 %%; %d times somebody was suspected, and nobody was taken for dead", builds, busyTime(t), suspected)
}
