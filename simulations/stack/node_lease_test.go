package stack

import (
	"os"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/event"
)

// awaited is a project of many small outputs, and of a last step that reads all of
// them and has to wait for a long one.
func awaited(t *testing.T) *Project {
	t.Helper()
	p := &Project{Root: t.TempDir()}
	small, tiny := Shape{Bytes: 48 << 10}, Shape{Bytes: 10}
	p.add(tiny, "long", 40*time.Second, []string{"src/long"}, nil)
	for i := range 120 {
		p.add(small, "obj/"+string(rune('a'+i/26))+string(rune('a'+i%26)), 50*time.Millisecond, []string{"src/all"}, nil)
	}
	deps := make([]int, len(p.Steps))
	for i := range deps {
		deps[i] = i
	}
	p.add(tiny, "last", time.Second, nil, deps)
	p.write(t)
	return p
}

// TestWhatABuildNeedsIsNotCollected fills the store of the worker who made what the last
// step reads with the outputs of other builds, three times over, before that step can
// run: what it reads is there all the same, and nothing of it comes back over the network.
func TestWhatABuildNeedsIsNotCollected(t *testing.T) {
	p := awaited(t)
	o := Options{
		Net: office(2), Slots: 4,
		BPU:      func(node int) float64 { return []float64{0.01, 1}[node] },
		Settings: func(node int) string { return []string{"", "cache: {max: 64MiB}\nkeep_for_others: 1MiB\n"}[node] },
	}
	Run(t, o, func(t *testing.T, f *Fleet) {
		f.StartAll()
		f.Pass(settled)
		worker := f.Machine(1)
		b := f.Machine(0).Build(t.Context(), p.Root)
		b.Until(someAnnounced(len(p.Steps) - 2))
		f.Pass(12 * time.Second) // by now what was made is older than what comes
		for seed := range uint64(6) {
			flood(t, worker, seed)
		}
		before := counted(t, worker)
		if s, err := b.Wait(); err != nil || !s.OK || s.Executed != len(p.Steps) {
			t.Fatalf("build: %+v, %v", s, err)
		}
		runs := f.Executions()
		if last := runs[len(runs)-1]; last.Node != 1 || last.Step != packageName+":last" {
			t.Errorf("it proves nothing: %+v ran last", last)
		}
		if back := counted(t, worker)["blobs_in"] - before["blobs_in"]; back > 10 {
			t.Errorf("%d blobs that the worker had made came back to it", back)
		}
		f.Pass(time.Second)
		if held := counted(t, worker)["leased_bytes"]; before["leased_bytes"] < 120*48<<10 || held != 0 {
			t.Errorf("%d bytes were leased before the last step, %d after it", before["leased_bytes"], held)
		}
	})
}

// flood builds something of 30 MB on a node alone.
func flood(t *testing.T, m *Machine, seed uint64) {
	t.Helper()
	p := NewProject(t, Shape{Units: 15, Bytes: 2 << 20, Seed: 100 + seed, Cost: time.Duration(seed+1) * 100 * time.Millisecond})
	var last event.Event
	err := m.Node.API().Build(t.Context(), api.BuildRequest{Dir: p.Root, UID: os.Geteuid(), Local: true}, func(e event.Event) { last = e })
	if f, ok := last.(event.BuildFinished); err != nil || !ok || !f.OK || f.Executed != len(p.Steps) {
		t.Fatalf("flood: %+v, %v", last, err)
	}
}

func counted(t *testing.T, m *Machine) map[string]int64 {
	t.Helper()
	s, err := m.Node.API().Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s.Counters
}
