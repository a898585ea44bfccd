//go:build lab && linux

package bazel

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/buildnet/buildnet/simulations/lab"
)

// stored is what a node tells of its store.
type stored struct {
	Bytes int64 `json:"bytes"`
}

// TestAStoreTooSmall builds with outputs that stay on a node whose store holds half of
// them: the build ends, and all is right that is asked for afterwards.
func TestAStoreTooSmall(t *testing.T) {
	l := lab.New(t)
	roomy := l.Host(power)
	roomy.Up()
	k := newKit(t, filepath.Join(roomy.Dir, "kit"))
	heaps(k)
	flags := append(mesh("build", "--remote_download_minimal"), "-//links/...")
	k.client(roomy, "roomy").bazel(flags...).ended(t)
	o := roomy.Buildnet("cache", "stats", "--json")
	var all stored
	if err := json.Unmarshal([]byte(o.Stdout), &all); err != nil || all.Bytes == 0 {
		t.Fatalf("%v in %q %s", err, o.Stdout, o.Stderr)
	}

	tight := l.Host(power)
	if err := os.MkdirAll(tight.Home, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(tight.Home, "node.yaml"), fmt.Sprintf("cache:\n  max: %d\n", all.Bytes/2))
	tight.Up()
	c := k.client(tight, "tight")
	c.bazel(flags...).ended(t)
	t.Logf("%d bytes are needed; %s", all.Bytes, tight.Buildnet("cache", "stats").Stdout)
	c.bazel(append(mesh("build"), "-//links/...")...).ended(t) // brings what was left there
	want := k.client(roomy, "all")
	want.bazel(append(mesh("build"), "-//links/...")...).ended(t)
	same(t, c.made(), want.made())
}

// heaps adds large outputs to the workspace, and a reader of each: a store cannot be
// bounded to less than 64 MiB.
func heaps(k *kit) {
	k.write("workspace/heaps/BUILD", `
[genrule(name = "heap%d" % i, outs = ["heap%d.txt" % i], cmd = "seq %d0000000 %d2499999 >$@" % (i + 1, i + 1)) for i in range(8)]
[genrule(name = "sum%d" % i, srcs = ["heap%d.txt" % i], outs = ["sum%d.txt" % i], cmd = "cksum <$< >$@") for i in range(8)]
`)
}
