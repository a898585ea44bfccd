//go:build lab && linux

package clients

import (
	"os"
	"testing"

	"github.com/buildnet/buildnet/simulations/lab"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }

// TestClients has one client after the other build on a mesh: cold, through another
// node by a client that knows nothing, and what fails. A mesh for each would look at
// its compilers for most of the time.
func TestClients(t *testing.T) {
	g := newGround(t)
	for _, client := range []struct {
		name string
		test func(*testing.T, *ground)
	}{
		{"sdk", testSDK}, {"please", testPlease},
		{"siso", testSiso}, {"reclient", testReclient}, {"bazel", testOldBazel},
	} {
		t.Run(client.name, func(t *testing.T) {
			g.Executed()
			client.test(t, g)
		})
	}
}
