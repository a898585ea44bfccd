package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/host"
	"github.com/shirou/gopsutil/v4/load"

	"github.com/buildnet/buildnet/store"
)

// referenceRounds is what one core of an Intel i5-10400 at 2.9 GHz does of the
// kernel in a CPU-second: 1 BPU. No such machine was at hand, so it is derived.
//
// A Zen 4 server core (AMD EPYC, family 25 model 17, a virtual machine) does
// 640 rounds in a CPU-second. PassMark's single-thread rating of the EPYC 9654,
// which has that core and clocks to 3.7 GHz, is 2893; that of the i5-10400 is
// 2609 with its turbo of 4.3 GHz, or 1760 at 2.9 GHz if it goes with the clock.
// So the measured core is 2893/1760 = 1.64 BPU. The rating differs by model and
// by sample, turbo clocks in a virtual machine are not known, and the mix of
// work is not ours: the unit is right to perhaps 25 %. Ratios between machines,
// which is all that placement uses, are not touched by that.
const referenceRounds = measuredRounds / (2893.0 / (2609 * 2.9 / 4.3))

// measuredRounds is what the machine above did.
const measuredRounds = 640.0

// How much CPU time is spent on measuring.
const (
	// firstBudget stands before ready: the limit there is 0.3 s.
	firstBudget = 200 * time.Millisecond
	// idleBudget is spent when nobody waits.
	idleBudget = 1500 * time.Millisecond
	// idleLoad is the load of each processor below which a machine is idle.
	idleLoad = 0.3
)

// ErrBusy says that a machine has too much to do to be measured well.
var ErrBusy = errors.New("machine is busy")

// Meter knows how fast one core of this machine is. Its methods may be called
// concurrently.
type Meter struct {
	kv  store.KV
	log *slog.Logger

	measuring sync.Mutex // held while measuring, so that two do not disturb each other

	mu  sync.Mutex
	bpu float64
}

// NewMeter returns a meter that remembers its figures in kv.
func NewMeter(kv store.KV, log *slog.Logger) *Meter {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Meter{kv: kv, log: log}
}

// BPU returns the power of one core as it is known, 0 before the first Measure.
func (m *Meter) BPU() float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.bpu
}

// Measure returns the power of one core: what is remembered of this processor
// and kernel, or else a measurement of at most 0.3 CPU-seconds. It counts CPU
// time, so that neither a quota nor other processes distort it.
func (m *Meter) Measure(ctx context.Context) (float64, error) {
	m.measuring.Lock()
	defer m.measuring.Unlock()
	if bpu := m.BPU(); bpu > 0 {
		return bpu, nil
	}
	key := key(ctx)
	if value, err := m.kv.Get(key); err == nil {
		if bpu, err := strconv.ParseFloat(string(value), 64); err == nil && bpu > 0 {
			m.set(bpu)
			return bpu, nil
		}
	}
	return m.measure(ctx, key, firstBudget)
}

// Refine measures again and longer, when the machine is idle; it returns
// ErrBusy when it is not.
func (m *Meter) Refine(ctx context.Context) (float64, error) {
	avg, err := load.AvgWithContext(ctx)
	if err == nil && avg.Load1 > idleLoad*float64(runtime.NumCPU()) {
		return m.BPU(), fmt.Errorf("measure the processor: %w: load %.1f", ErrBusy, avg.Load1)
	}
	m.measuring.Lock()
	defer m.measuring.Unlock()
	return m.measure(ctx, key(ctx), idleBudget)
}

func (m *Meter) measure(ctx context.Context, key []byte, budget time.Duration) (float64, error) {
	rounds, err := rate(ctx, budget)
	if err != nil {
		return 0, fmt.Errorf("measure the processor: %w", err)
	}
	bpu := rounds / referenceRounds
	m.set(bpu)
	if err := m.kv.Put(key, strconv.AppendFloat(nil, bpu, 'g', 6, 64)); err != nil {
		m.log.Warn("power of the processor is not remembered; the next start measures again", "error", err)
	}
	return bpu, nil
}

func (m *Meter) set(bpu float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bpu = bpu
}

// key names this processor under this kernel: another of either may be of
// another speed.
func key(ctx context.Context) []byte {
	name := runtime.GOARCH
	if info, err := cpu.InfoWithContext(ctx); err == nil && len(info) > 0 {
		name += " " + info[0].ModelName
	}
	if version, err := host.KernelVersionWithContext(ctx); err == nil {
		name += " " + version
	}
	return []byte("bpu/" + kernelVersion + "/" + name)
}
