package profile

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/buildnet/buildnet/node/config/strict"
	"github.com/buildnet/buildnet/sched/place"
)

const (
	// Version is the version of the format that Parse reads.
	Version = 1
	// MaxBytes bounds a file: the mesh's default travels as one.
	MaxBytes = 4 << 10
)

// file is what a profile may say.
type file struct {
	Version      int      `yaml:"version" need:"" min:"1" max:"1" doc:"The version of this format: 1."`
	Name         string   `yaml:"name" need:"" doc:"What the profile is called; its file is NAME.yaml. Lower-case letters, digits, _ and -."`
	Description  string   `yaml:"description" doc:"One sentence for a listing."`
	Distribution string   `yaml:"distribution" default:"smart" enum:"smart,round_robin,least_loaded,fastest,locality" doc:"Who gets a step. smart: whose score is best. round_robin: one after the other. least_loaded: who has most slots free. fastest: who has the fastest core. locality: who lacks the fewest bytes of its inputs."`
	Weights      *Weights `yaml:"weights" doc:"How much each part of the score counts, with distribution smart; a part that is not named counts nothing. Without the key: 0.4, 0.3, 0.2 and 0.1."`
	Partition    string   `yaml:"partition" default:"hybrid" enum:"hybrid,package,file" doc:"What stays together. package: the steps of a package go to one machine while it has room. file: each goes for itself. hybrid: together where that costs no time."`
	CPU          string   `yaml:"cpu_strategy" default:"all_cores" enum:"all_cores,local_only,efficiency_cores" doc:"all_cores: every slot of every machine. local_only: as with --local, no other machine. efficiency_cores: no more steps at once than half of the mesh has slots."`
	Storage      string   `yaml:"storage_preference" default:"fastest" enum:"fastest,local,cheapest" doc:"Who keeps the outputs after the build. fastest: whoever made them, and the machine that you build on. local: the machine that you build on. cheapest: whoever made them."`
	Network      string   `yaml:"network_preference" default:"lowest_latency" enum:"lowest_latency,minimize_transfer,batch_transfers" doc:"lowest_latency: outputs are fetched one by one, as soon as they are there. minimize_transfer: steps that read much for what they compute run on the machine that you build on. batch_transfers: outputs are fetched together, some later."`
	Cache        string   `yaml:"cache_policy" default:"aggressive" enum:"aggressive,aggressive_local,minimal" doc:"aggressive: results of all members are used, and all members get the own ones. aggressive_local: this machine's results alone are used. minimal: no other member gets the own results."`
}

// Schema returns the JSON Schema of a profile's file, as docs/ publishes it.
func Schema() ([]byte, error) {
	return strict.SchemaOf[file]("BuildNet profile (.buildnet/profiles/NAME.yaml)")
}

// Parse reads a file, whose name is for errors. The error is a *strict.Faults.
func Parse(name string, src []byte) (Profile, error) {
	r := strict.New(name, MaxBytes)
	var f file
	r.Read(src, &f)
	if err := r.Err(); err != nil {
		return Profile{}, err
	}
	f.check(r)
	return f.profile(), r.Err()
}

// check finds what concerns more than one value.
func (f *file) check(r *strict.Reader) {
	if err := CheckName(f.Name); err != nil {
		r.Add("name", "call it after what it is for, such as over_night", "%q is no name", f.Name)
	}
	if strings.ContainsAny(f.Description, "\n\r\x1b") || len(f.Description) > maxDescription {
		r.Add("description", fmt.Sprintf("write one line of at most %d bytes", maxDescription), "it is no sentence")
	}
	switch w := f.Weights; {
	case w == nil:
	case f.Distribution != place.Smart.String():
		r.Add("weights", "remove them, or write distribution: smart", "they are of the score, and distribution %s looks at none", f.Distribution)
	case *w == Weights{}:
		r.Add("weights", "remove them, or give one of them a number", "no part counts")
	}
}

// maxDescription is a line on a wide terminal.
const maxDescription = 200

// profile is of a file whose words are known.
func (f *file) profile() Profile {
	p := Profile{
		Version: Version, Name: f.Name, Description: f.Description, Weights: f.Weights,
		CPU: CPU(f.CPU), Storage: Storage(f.Storage), Network: Network(f.Network), Cache: Cache(f.Cache),
	}
	p.Distribution, _ = place.ParseStrategy(f.Distribution)
	p.Partition, _ = place.ParsePartition(f.Partition)
	return p
}

// Text returns p as a file that Parse reads.
func (p Profile) Text() ([]byte, error) {
	text, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encode profile %s: %w", p.Name, err)
	}
	return text, nil
}

//go:embed builtin/*.yaml
var builtins embed.FS

// StandardName is the name of the profile that holds where nobody says
// anything.
const StandardName = "standard"

// Standard returns the profile that holds where nobody says anything.
func Standard() Profile {
	p, err := Builtin(StandardName)
	if err != nil {
		panic(err) // it is a file of this package
	}
	return p
}

// ErrUnknown says that no profile has a name.
var ErrUnknown = errors.New("no such profile")

// Builtin returns one of the profiles that come with the program.
func Builtin(name string) (Profile, error) {
	src, err := fs.ReadFile(builtins, path.Join("builtin", name+".yaml"))
	if err != nil {
		return Profile{}, fmt.Errorf("%q: %w", name, ErrUnknown)
	}
	return Parse(name+".yaml", src)
}

// Builtins are the names of those that come with the program, standard first.
func Builtins() []string {
	entries, err := fs.ReadDir(builtins, "builtin")
	if err != nil {
		panic(err) // it is a directory of this package
	}
	names := []string{StandardName}
	for _, e := range entries {
		if name := strings.TrimSuffix(e.Name(), ".yaml"); name != StandardName {
			names = append(names, name)
		}
	}
	slices.Sort(names[1:])
	return names
}

// IsBuiltin reports whether a profile comes with the program: no other may be
// called so.
func IsBuiltin(name string) bool { return slices.Contains(Builtins(), name) }
