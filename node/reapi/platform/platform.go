// Package platform says what the platform properties of a client's action mean in
// a mesh: which it heeds, which change nothing, and which it cannot have. It is
// pure. Start reading at Read.
package platform

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"

	"github.com/buildnet/buildnet/sched/action"
)

// Names of properties that clients use.
const (
	osFamily  = "OSFamily"
	isa       = "ISA"
	arch      = "Arch"
	image     = "container-image"
	pool      = "Pool"
	network   = "network"
	silo      = "cache-silo-key"
	toolchain = "toolchain"
	memory    = action.PropertyMemoryBytes
)

// known are all of them, for people.
var known = []string{arch, silo, image, isa, memory, network, osFamily, pool, toolchain}

// Values of the property toolchain: the programs of an action are those of the
// machine, or lie among its inputs.
const (
	toolchainHost   = "host"
	toolchainInputs = "inputs"
)

// Refused is a property that no machine of the mesh has.
type Refused struct {
	Name, Value string
	// Has is what the mesh has instead.
	Has string
}

// Error says which property it is, and what to do about it.
func (r *Refused) Error() string {
	return fmt.Sprintf("platform property %s=%q: this mesh has %s; change the execution platform, or leave the property out", r.Name, r.Value, r.Has)
}

// Wishes are what a client wants of the machine that runs its action.
type Wishes struct {
	// Native are properties of the step, sorted by name.
	Native []action.Property
	// Inputs says that the programs lie among the inputs: whatever is installed
	// on a machine does not matter.
	Inputs bool
	// Image was asked for, and is not run: the programs are the machine's own.
	Image string
}

// Machine is what runs the actions of a client.
type Machine struct {
	// OS and Arch are values of runtime.GOOS and runtime.GOARCH.
	OS, Arch string
}

// Read returns what the properties mean, or a *Refused. What they do not say is
// m's.
func Read(m Machine, p *repb.Platform) (Wishes, error) {
	w := Wishes{Native: []action.Property{{Name: action.PropertyOS, Value: m.OS}, {Name: action.PropertyArch, Value: m.Arch}}}
	for _, p := range p.GetProperties() {
		if err := w.take(m, p.GetName(), p.GetValue()); err != nil {
			return Wishes{}, err
		}
	}
	slices.SortFunc(w.Native, func(a, b action.Property) int { return strings.Compare(a.Name, b.Name) })
	for i := 1; i < len(w.Native); i++ {
		if w.Native[i].Name == w.Native[i-1].Name {
			return Wishes{}, &Refused{w.Native[i].Name, w.Native[i].Value, "one value of it for an action"}
		}
	}
	return w, nil
}

func (w *Wishes) take(m Machine, name, value string) error {
	switch name {
	case osFamily:
		if systemOf(value) != m.OS {
			return &Refused{name, value, m.OS}
		}
	case isa, arch:
		if archOf(value) != m.Arch {
			return &Refused{name, value, m.Arch}
		}
	case image:
		if w.Image = value; value == "none" {
			w.Image = ""
		}
	case pool:
		if value != "" && value != "default" {
			return &Refused{name, value, "one pool, called default"}
		}
	case network, "dockerNetwork":
		return w.network(name, value)
	case silo:
		w.Native = append(w.Native, action.Property{Name: silo, Value: value})
	case memory:
		if n, err := strconv.ParseInt(value, 10, 64); err != nil || n <= 0 {
			return &Refused{name, value, "limits in bytes, as 1073741824"}
		}
		w.Native = append(w.Native, action.Property{Name: memory, Value: value})
	case toolchain:
		if value != toolchainHost && value != toolchainInputs {
			return &Refused{name, value, toolchainHost + " and " + toolchainInputs}
		}
		w.Inputs = value == toolchainInputs
	default:
		return &Refused{name, value, "the properties " + strings.Join(known, ", ")}
	}
	return nil
}

func (w *Wishes) network(name, value string) error {
	switch value {
	case "true", "standard":
		w.Native = append(w.Native, action.Property{Name: action.PropertyNetwork, Value: "true"})
	case "", "false", "off":
	default:
		return &Refused{name, value, "off and standard"}
	}
	return nil
}

// systemOf is an operating system as Go calls it. REAPI's platform lexicon has
// names of its own.
func systemOf(value string) string {
	switch s := strings.ToLower(value); s {
	case "macos":
		return "darwin"
	default:
		return s
	}
}

// archOf is a processor as Go calls it.
func archOf(value string) string {
	switch s := strings.ToLower(value); s {
	case "x86-64", "x86_64", "x64":
		return "amd64"
	case "arm-a64", "aarch64", "armv8":
		return "arm64"
	case "x86-32", "x86", "i386":
		return "386"
	default:
		return s
	}
}
