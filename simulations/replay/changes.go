package replay

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/buildnet/buildnet/simulations/fault"
)

const (
	// maxAdded machines go into one replay.
	maxAdded = 10_000
	// maxBPU is beyond every core.
	maxBPU = 1000
	// maxSlots is beyond every machine.
	maxSlots = 4096
	// maxLatency is beyond every way on Earth, by satellite too.
	maxLatency = 10 * time.Second
)

// Machines are some that are alike.
type Machines struct {
	Count int
	BPU   float64 // of one core
	// Slots is how many steps each runs at once; 0 is as many as the initiator.
	Slots int
}

// ParseMachines reads COUNT@BPU or COUNT@BPU/SLOTS.
func ParseMachines(text string) (m Machines, err error) {
	count, rest, ok := strings.Cut(text, "@")
	bpu, slots, sized := strings.Cut(rest, "/")
	if ok {
		m.Count, err = strconv.Atoi(count)
	}
	if ok && err == nil {
		m.BPU, err = strconv.ParseFloat(bpu, 64)
	}
	if ok && err == nil && sized {
		m.Slots, err = strconv.Atoi(slots)
	}
	switch {
	case !ok || err != nil:
		return Machines{}, fmt.Errorf("%w: %q; write COUNT@BPU or COUNT@BPU/SLOTS, as in 2@1.5/8", ErrChange, text)
	case m.Count < 1 || m.Count > maxAdded:
		return Machines{}, fmt.Errorf("%w: %q: %d machines; 1 to %d can be added", ErrChange, text, m.Count, maxAdded)
	case !(m.BPU > 0) || m.BPU > maxBPU || math.IsNaN(m.BPU):
		return Machines{}, fmt.Errorf("%w: %q: %v BPU; it is above 0 and up to %d, and `buildnet node ls` shows those of your machines", ErrChange, text, m.BPU, maxBPU)
	case sized && (m.Slots < 1 || m.Slots > maxSlots):
		return Machines{}, fmt.Errorf("%w: %q: %d slots; 1 to %d are possible", ErrChange, text, m.Slots, maxSlots)
	}
	return m, nil
}

// Way is the latency between two peers, one way.
type Way struct {
	A, B    string
	Latency time.Duration
}

// ParseWay reads A:B=LATENCY.
func ParseWay(text string) (Way, error) {
	ends, latency, ok := strings.Cut(text, "=")
	a, b, two := strings.Cut(ends, ":")
	d, err := time.ParseDuration(latency)
	if !ok || !two || a == "" || b == "" || err != nil {
		return Way{}, fmt.Errorf("%w: %q; write PEER:PEER=LATENCY, as in office:attic=40ms", ErrChange, text)
	}
	if d < 0 || d > maxLatency {
		return Way{}, fmt.Errorf("%w: %q: a latency of %v; it is up to %v", ErrChange, text, d, maxLatency)
	}
	return Way{A: a, B: b, Latency: d}, nil
}

// faults are the kills of nodes.
func (t *town) faults(kills []string) ([]fault.Fault, error) {
	fs := make([]fault.Fault, 0, len(kills))
	for _, text := range kills {
		line, err := t.killLine(text)
		if err != nil {
			return nil, err
		}
		f, err := fault.Parse(line)
		if err != nil {
			return nil, fmt.Errorf("%w: kill %q: %w", ErrChange, text, err)
		}
		fs = append(fs, f)
	}
	return fs, nil
}

// roles are those in a build that a user may kill.
var roles = map[string]bool{"leader": true, "standby": true, "second-standby": true, "worker": true}

// killLine makes a fault's line of WHO@WHEN.
func (t *town) killLine(text string) (string, error) {
	who, when, ok := strings.Cut(text, "@")
	if !ok || who == "" || when == "" {
		return "", fmt.Errorf("%w: kill %q; write WHO@WHEN, as in leader@50%%, standby@30%% or a peer's name@2.5s", ErrChange, text)
	}
	if !roles[who] {
		at, err := t.find(who)
		if err != nil {
			return "", err
		}
		if at == 0 {
			return "", fmt.Errorf("%w: kill %q: it asked for the build, which ends with it; kill another one of %s", ErrChange, text, namesOf(t.rec))
		}
		who = fmt.Sprintf("node %d", at)
	}
	if strings.HasSuffix(when, "%") {
		return fmt.Sprintf("kill %s @%s", who, when), nil
	}
	return fmt.Sprintf("kill %s at %s", who, when), nil
}
