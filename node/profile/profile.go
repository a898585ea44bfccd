// Package profile is how a build uses the mesh, under a name: where its steps
// go, and what of processors, disks, network and caches it takes. Profiles are
// strict YAML files; some come with the program. The package is pure. Start
// reading at Profile, then at Choose.
package profile

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"

	"github.com/buildnet/buildnet/sched/place"
)

// Profile is a way to build. Its JSON is a file that Parse reads.
type Profile struct {
	Version     int    `json:"version"`
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`

	Distribution place.Strategy `json:"distribution"`
	// Weights are of the score of Distribution smart; nil are the standard ones.
	Weights   *Weights        `json:"weights,omitempty"`
	Partition place.Partition `json:"partition"`

	CPU     CPU     `json:"cpu_strategy"`
	Storage Storage `json:"storage_preference"`
	Network Network `json:"network_preference"`
	Cache   Cache   `json:"cache_policy"`
}

// Weights are how much each part of the score counts; only their proportions
// matter.
type Weights struct {
	Performance  float64 `json:"performance" yaml:"performance" min:"0" max:"1000000" doc:"How fast the machine would run the step."`
	Locality     float64 `json:"locality" yaml:"locality" min:"0" max:"1000000" doc:"How much of the step's inputs it has."`
	Latency      float64 `json:"latency" yaml:"latency" min:"0" max:"1000000" doc:"How near it is."`
	Availability float64 `json:"availability" yaml:"availability" min:"0" max:"1000000" doc:"How idle it is."`
}

// CPU says which processors work for a build.
type CPU string

// The CPU strategies, the standard one first.
const (
	AllCores        CPU = "all_cores"        // all slots of all members
	LocalOnly       CPU = "local_only"       // this machine's alone
	EfficiencyCores CPU = "efficiency_cores" // half the slots of the mesh
)

// Storage says who keeps what a build has made.
type Storage string

// The storage preferences, the standard one first.
const (
	StoreFastest  Storage = "fastest"  // who made it, and the initiator
	StoreLocal    Storage = "local"    // the initiator
	StoreCheapest Storage = "cheapest" // who made it
)

// Network says how bytes move.
type Network string

// The network preferences, the standard one first.
const (
	LowestLatency    Network = "lowest_latency"    // each result as soon as it is there
	MinimizeTransfer Network = "minimize_transfer" // steps that read much stay where their sources are
	BatchTransfers   Network = "batch_transfers"   // results by the dozen
)

// Cache says what a build has of the mesh's cache, and gives to it.
type Cache string

// The cache policies, the standard one first.
const (
	Aggressive      Cache = "aggressive"       // takes and gives
	AggressiveLocal Cache = "aggressive_local" // takes nothing, gives
	Minimal         Cache = "minimal"          // takes, gives nothing
)

// Policy returns what a leader has to know of p to place steps.
func (p Profile) Policy() place.Policy {
	policy := place.Policy{Strategy: p.Distribution, Partition: p.Partition}
	if p.Weights != nil {
		policy.Weights = place.Weights(*p.Weights)
	}
	return policy
}

// namePattern is short, safe in a path, and no flag.
const namePattern = `^[a-z][a-z0-9_-]{0,63}$`

var nameFormat = regexp.MustCompile(namePattern)

// CheckName says what is wrong with a name.
func CheckName(name string) error {
	if !nameFormat.MatchString(name) {
		return fmt.Errorf("%q cannot be a profile's name; use lower-case letters, digits, _ and -, beginning with a letter", name)
	}
	return nil
}

// Changes are what differs from the standard profile, as "key: value".
func (p Profile) Changes() []string {
	var all []string
	add := func(key, value, standard string) {
		if value != standard {
			all = append(all, key+": "+value)
		}
	}
	s := Standard()
	add("distribution", p.Distribution.String(), s.Distribution.String())
	if p.Weights != nil {
		all = append(all, "weights: "+p.Weights.String())
	}
	add("partition", p.Partition.String(), s.Partition.String())
	add("cpu_strategy", string(p.CPU), string(s.CPU))
	add("storage_preference", string(p.Storage), string(s.Storage))
	add("network_preference", string(p.Network), string(s.Network))
	add("cache_policy", string(p.Cache), string(s.Cache))
	return all
}

// String returns the parts that count.
func (w Weights) String() string {
	parts := []struct {
		name   string
		weight float64
	}{{"performance", w.Performance}, {"locality", w.Locality}, {"latency", w.Latency}, {"availability", w.Availability}}
	var texts []string
	for _, p := range parts {
		if p.weight > 0 {
			texts = append(texts, fmt.Sprintf("%s %g", p.name, p.weight))
		}
	}
	return cmp.Or(strings.Join(texts, ", "), "none")
}
