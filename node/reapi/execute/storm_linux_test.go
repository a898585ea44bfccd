package execute_test

import (
	"fmt"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"

	"github.com/buildnet/buildnet/node/nodetest"
)

// TestABuildNeedsNoRoomForAllThatItMakes executes a chain without the bytes in a store
// that holds half of it, and reads all of it in the end.
func TestABuildNeedsNoRoomForAllThatItMakes(t *testing.T) {
	n := nodetest.StartSet(t, "cache: {max: 64MiB}\n", 2, "")
	c := connect(t, n)
	const links, size = 12, 10_000_000
	script := func(n int) string { return fmt.Sprintf("head -c %d /dev/zero | tr '\\0' '%c' > out", size, 'a'+n) }
	made := []*repb.Digest{c.ok(c.run(c.in("storm"), c.upload(shell(script(0), "out")))).GetOutputFiles()[0].GetDigest()}
	for i := 1; i < links; i++ {
		r := c.run(c.in("storm"), c.after("test -s before && "+script(i), "before", made[i-1], "out"))
		made = append(made, c.ok(r).GetOutputFiles()[0].GetDigest())
	}
	st, err := n.API().CacheStats(t.Context())
	if err != nil || st.Evicted == 0 || st.Promised > st.MaxBytes/2 || st.Promised < 2*size {
		t.Errorf("%+v, %v: nothing went, or not half of the room is promised", st, err)
	}
	for i, d := range made {
		r := c.run(c.in("storm"), c.after(fmt.Sprintf("head -c 1 before; wc -c < before; echo %d >&2", i), "before", d))
		if got := c.read(c.ok(r).GetStdoutDigest()); got != fmt.Sprintf("%c%d\n", 'a'+i, size) {
			t.Errorf("link %d is %q", i, got)
		}
	}
	status, err := n.API().Status(t.Context())
	if err != nil || status.Counters["blobs_remade"] < links/3 || status.Counters["blobs_not_remade"] > 0 {
		t.Errorf("%d blobs were made again and %d not, %v", status.Counters["blobs_remade"], status.Counters["blobs_not_remade"], err)
	}
}
