package exec_test

import (
	"os"
	"testing"

	"github.com/buildnet/buildnet/node/exec"
	"github.com/buildnet/buildnet/sched/action"
)

// networkOf is the network namespace that a command is in, which does what is given
// before.
func (r *rig) networkOf(before string) string {
	r.t.Helper()
	return r.stdout(r.must(sh(before + "\nreadlink /proc/self/ns/net")))
}

func TestANetworkServesAgainWhereNothingWasSent(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may enter a network that is there")
	}
	r := sandboxed(t)
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	first := r.networkOf("")
	if first == own+"\n" {
		t.Fatal("it is in this process's own")
	}
	// What is bound goes with its process.
	if got := r.networkOf("perl -MIO::Socket::INET -e 'IO::Socket::INET->new(Listen => 1, LocalAddr => q(127.0.0.1:7777)) or die'"); got != first {
		t.Errorf("nothing was sent, and it is %q after %q", got, first)
	}
	const speak = `perl -MIO::Socket::INET -e '
$s = IO::Socket::INET->new(Listen => 1, LocalAddr => q(127.0.0.1:7777)) or die "listen: $!";
$c = IO::Socket::INET->new(q(127.0.0.1:7777)) or die "connect: $!"; $t = $s->accept or die "accept: $!"'`
	// The port of a connection stays taken for a minute after its end.
	if got := r.networkOf(speak); got != first {
		t.Errorf("nothing was sent before, and it is %q after %q", got, first)
	}
	for range 2 {
		if got := r.stdout(r.must(sh("grep 'lo: *0 *0 ' /proc/net/dev >&2; " + speak))); got == "" {
			t.Error("something was sent in it before")
		}
	}
}

func TestActionsAtOnceHaveNetworksOfTheirOwn(t *testing.T) {
	r := sandboxed(t)
	const whichNetwork = "readlink /proc/self/ns/net"
	inner := r.action(sh(whichNetwork))
	var within *action.Result
	var failed error
	outer, err := r.Execute(t.Context(), exec.Request{Action: r.action(sh(whichNetwork + "; sleep 0.3")), Name: "outer"}, func() {
		within, failed = r.Execute(t.Context(), exec.Request{Action: inner, Name: "inner"}, func() {})
	})
	if err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	if one, other := r.stdout(outer), r.stdout(within); one == other {
		t.Errorf("both are in %q", one)
	}
}
