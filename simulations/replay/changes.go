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

// Kill is the death of a peer.
type Kill struct {
	// Who is a peer, by its name or a part of its ID, or what it is in the build.
	Who string
	// When is a share of the steps, as 50%, or a time.
	When string
}

// ParseKill reads WHO@WHEN. Whether there is such a peer, Setting says.
func ParseKill(text string) (Kill, error) {
	who, when, ok := strings.Cut(text, "@")
	k := Kill{Who: who, When: when}
	if !ok || who == "" || when == "" {
		return Kill{}, fmt.Errorf("%w: kill %q; write WHO@WHEN, as in leader@50%%, standby@30%% or a peer's name@2.5s", ErrChange, text)
	}
	if _, err := k.fault(0); err != nil {
		return Kill{}, err
	}
	return k, nil
}

func (k Kill) String() string { return k.Who + "@" + k.When }

// roles are those in a build that a user may kill.
var roles = map[string]bool{"leader": true, "standby": true, "second-standby": true, "worker": true}

// fault is what strikes the peer, which is node at unless a role says who.
func (k Kill) fault(at int) (fault.Fault, error) {
	who, when := k.Who, " at "+k.When
	if !roles[who] {
		who = fmt.Sprintf("node %d", at)
	}
	if strings.HasSuffix(k.When, "%") {
		when = " @" + k.When
	}
	f, err := fault.Parse("kill " + who + when)
	if err != nil {
		return fault.Fault{}, fmt.Errorf("%w: kill %q: %w", ErrChange, k, err)
	}
	return f, nil
}

// faults are the kills of nodes.
func (t *town) faults(kills []Kill) ([]fault.Fault, error) {
	fs := make([]fault.Fault, 0, len(kills))
	for _, k := range kills {
		at := 0
		if !roles[k.Who] {
			var err error
			if at, err = t.find(k.Who); err != nil {
				return nil, err
			}
			if at == 0 {
				return nil, fmt.Errorf("%w: kill %q: it asked for the build, which ends with it; kill another one of %s", ErrChange, k, namesOf(t.rec))
			}
		}
		f, err := k.fault(at)
		if err != nil {
			return nil, err
		}
		fs = append(fs, f)
	}
	return fs, nil
}
