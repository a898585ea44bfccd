package toolchain

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestADriverIsAskedEachQuestionOnce(t *testing.T) {
	b := newBench(t)
	b.write("asked", "", 0o666)
	b.write("bin/gcc", "#!/bin/sh\necho \"$*\" >>"+b.path("asked")+"\nexec "+b.path("bin/cc")+" \"$@\"\n", 0o755)
	<-time.After(racy)
	b.digest(Spec{Spec: "link:gcc"})
	text, err := os.ReadFile(b.path("asked"))
	if err != nil {
		t.Fatal(err)
	}
	asked := strings.Split(strings.TrimSpace(string(text)), "\n")
	slices.Sort(asked)
	if once := slices.Compact(slices.Clone(asked)); len(asked) < 5 || len(once) < len(asked) {
		t.Errorf("it was asked %q", asked)
	}
}
