package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/node/nodetest"
)

// What bandwidth_saver changes, and the storage preferences and cache policies
// alone, profile_test.go has.
func TestBuiltinProfilesChangeALiveBuild(t *testing.T) {
	const steps = 3
	nodes := nodetest.Mesh(t, 2, 1)
	a, b := nodes[0], nodes[1]
	files := map[string]string{".buildnet/config.yaml": `version: 1
packages:
  - name: heavy
    steps:
      - foreach: "*.txt"
        run: "wc -c < {in} > {outputs}"
        outputs: ["out/{stem}"]
`}
	for i := range steps {
		files[fmt.Sprintf("%d.txt", i)] = strings.Repeat(fmt.Sprint(i), 2<<20)
	}
	dir := nodetest.Tree(t, files)
	own(t, a, "thrifty", "network_preference: minimize_transfer")
	for _, c := range []struct {
		profile, distribution, partition string
		jobs                             int
		shared                           bool // results are for others, too
		stay                             bool // every step runs here
	}{
		// First: what a build gave to others may reach them when it is over.
		{"cost_optimized", "least_loaded", "hybrid", 1, false, false}, // half of two slots
		{"speed", "fastest", "file", 0, true, false},
		{"thrifty", "smart", "hybrid", 0, true, true},
	} {
		ok(t, a, "cache", "clear")
		ok(t, b, "cache", "clear")
		f := built(t, a, dir, "--force", "--profile", c.profile)
		wantPolicy(t, f, c.profile, "flag", c.distribution)
		rec, err := a.Client.Recording(t.Context(), f.Build)
		if err != nil || rec.Modes.Jobs != c.jobs || rec.Modes.Policy == nil || rec.Modes.Policy.Partition != c.partition {
			t.Errorf("%s: recorded %+v, %v", c.profile, rec.Modes, err)
		}
		if n := results(t, a) + results(t, b); f.Executed != steps || n > 0 != c.shared {
			t.Errorf("%s: %d executed, %d results are for others", c.profile, f.Executed, n)
		}
		if c.stay && f.RunRemote > 0 {
			t.Errorf("%s: %d steps ran on the other", c.profile, f.RunRemote)
		}
	}
}
