package invocation_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/node/api"
)

// What another program gives its commands of has no graph to replay, and no outputs to
// bring to whoever follows it: that is said, while it goes on and later.
func TestInvocationsAreNeitherFollowedNorReplayed(t *testing.T) {
	n := startWith(t, 1, says("no"))
	b := newBench(t, n, project)
	b.begin(api.InvocationRequest{Client: "make"})
	refused := func(what string, err error, want string) {
		t.Helper()
		var told *api.Error
		if !errors.As(err, &told) || told.Kind != api.Conflict || !strings.Contains(told.Message, b.id+" is of make, ") || !strings.Contains(told.Message, want) || !strings.Contains(told.Hint, b.id) {
			t.Errorf("%s: %v", what, err)
		}
	}
	attach := func() error {
		return n.Client.Build(t.Context(), api.BuildRequest{Dir: t.TempDir(), Attach: b.id[:8]}, func([]byte) error { return nil })
	}
	refused("attach", attach(), "nothing to bring")
	b.run("true").Release()
	b.end()
	refused("attach after its end", attach(), "nothing to bring")
	_, err := n.Client.Recording(t.Context(), b.id[:8])
	refused("replay", err, "no graph to replay")
}
