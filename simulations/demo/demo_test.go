//go:build unix

// Package demo runs what `make demo` runs, as an end-to-end test: the built
// binary, three nodes on this machine and a real C project.
package demo

import (
	"context"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/event"
)

// limit is far above what the demo takes on two cores.
const limit = 8 * time.Minute

func TestDemo(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	binary := filepath.Join(t.TempDir(), "buildnet")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "github.com/buildnet/buildnet/cmd/buildnet")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build buildnet: %v: %s", err, out)
	}
	demo := exec.CommandContext(ctx, "../../docs/examples/zstd/demo", binary)
	demo.WaitDelay = 10 * time.Second
	out, err := demo.CombinedOutput()
	if err != nil {
		t.Fatalf("demo: %v: %s", err, out)
	}
	if !strings.Contains(string(out), string(event.InstantSkip)) {
		t.Errorf("the second build was no instant skip: %s", out)
	}
	second := summary(t, string(out))
	if !second.OK || second.Executed != 0 || second.CachedLocal+second.CachedMesh != second.Steps || second.Steps < 40 {
		t.Errorf("the second copy: %+v", second)
	}
}

// summary finds the summary of the second copy's build, which the demo prints.
func summary(t *testing.T, out string) event.BuildFinished {
	t.Helper()
	for line := range strings.Lines(out) {
		var f event.BuildFinished
		if strings.HasPrefix(line, `{"event":"build.finished"`) {
			if err := json.Unmarshal([]byte(line), &f); err != nil {
				t.Fatalf("%v in %q", err, line)
			}
			return f
		}
	}
	t.Fatalf("no summary in %s", out)
	return event.BuildFinished{}
}
