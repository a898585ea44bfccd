//go:build lab && linux

package lab

import (
	"strings"
	"testing"
	"time"
)

// sleepers counts the actions that run on the hosts.
func sleepers(hosts []*Host, step string) (n int) {
	for _, h := range hosts {
		for _, p := range h.Processes() {
			if strings.HasPrefix(p, "sleep "+step) {
				n++
			}
		}
	}
	return n
}

// TestBuildThatIsItsOwnNodeEnds checks that the end of a command which is its
// own node ends its actions on other machines.
func TestBuildThatIsItsOwnNodeEnds(t *testing.T) {
	for name, end := range map[string]func(*Build){"interrupt": (*Build).Interrupt, "kill": (*Build).Kill} {
		t.Run(name, func(t *testing.T) {
			l := New(t)
			hosts, nodes := Mesh(t, l, 3, 0.6, "--slots", "3")
			nodes[0].Stop()
			s := Sleepy{Tag: "end " + name, Parts: 40, Step: 4 * time.Second}
			dir := s.In(t, hosts[0])
			b := hosts[0].Start(dir)
			for deadline := time.Now().Add(30 * time.Second); sleepers(hosts[1:], "4.00") < 4; {
				if time.Now().After(deadline) {
					t.Fatalf("only %d actions run on the others: %s %+v", sleepers(hosts[1:], "4.00"), b.Stderr(), last(b.Events(), 5))
				}
				<-time.After(50 * time.Millisecond)
			}
			end(b)
			ended := time.Now()
			if status := b.Wait(); name == "interrupt" && status != 130 {
				t.Errorf("exit status %d, want 130: %s", status, b.Stderr())
			}
			<-time.After(time.Until(ended.Add(2 * time.Second)))
			if n := sleepers(hosts, "4.00"); n > 0 {
				t.Errorf("%d actions still run", n)
			}
			for _, h := range hosts[1:] {
				Sound(t, h)
			}
		})
	}
}
