package host

import (
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/buildnet/buildnet/store/memory"
)

func TestFirstMeasurementStaysWithinItsCPUTime(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	m := NewMeter(&memory.KV{}, nil)
	before := threadTime()
	bpu, err := m.Measure(t.Context())
	if err != nil || bpu <= 0 {
		t.Fatalf("Measure = %v, %v", bpu, err)
	}
	if took := threadTime() - before; took > 300*time.Millisecond {
		t.Errorf("measuring took %v of CPU time, the limit is 300ms", took)
	}
	if m.BPU() != bpu {
		t.Errorf("BPU = %v, measured %v", m.BPU(), bpu)
	}
}

func TestMeasurementIsRemembered(t *testing.T) {
	kv := &memory.KV{}
	first, err := NewMeter(kv, nil).Measure(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	before := threadTime()
	second, err := NewMeter(kv, nil).Measure(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := second/first - 1; diff < -1e-4 || diff > 1e-4 {
		t.Errorf("remembered %v of %v", second, first)
	}
	if took := threadTime() - before; took > 50*time.Millisecond {
		t.Errorf("remembering took %v of CPU time", took)
	}
}

func TestRefineLeavesABusyMachineAlone(t *testing.T) {
	m := NewMeter(&memory.KV{}, nil)
	bpu, err := m.Refine(t.Context())
	if errors.Is(err, ErrBusy) {
		return
	}
	if err != nil || bpu <= 0 {
		t.Errorf("Refine = %v, %v", bpu, err)
	}
}

func TestSlotsAreAtLeastOneAndFollowTheCores(t *testing.T) {
	if c := Cores(); c <= 0 || c > float64(runtime.NumCPU()) {
		t.Errorf("Cores = %v of %d", c, runtime.NumCPU())
	}
	if s := Slots(); s < 1 || s > runtime.NumCPU() {
		t.Errorf("Slots = %d of %d", s, runtime.NumCPU())
	}
}

func TestMemoryIsSomeOfTheMachine(t *testing.T) {
	if m := Memory(); m <= 0 {
		t.Errorf("Memory = %d", m)
	}
}

func BenchmarkRound(b *testing.B) {
	k := newKernel()
	for b.Loop() {
		runtime.KeepAlive(k.round())
	}
}
