package node

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/buildnet/buildnet/mesh/link"
	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/config"
	"github.com/buildnet/buildnet/node/exec"
	"github.com/buildnet/buildnet/node/host"
	"github.com/buildnet/buildnet/node/toolchain"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/disk"
)

// Machine is what a node takes from the machine that it runs on. Zero is this
// machine: its sandbox, its processors, its programs. A simulation stands in
// for some of it.
type Machine struct {
	// Name is the host name; "" is this machine's.
	Name string
	// Sockets is where the mesh's socket comes from; nil is this machine's network.
	Sockets link.Sockets
	// Executor makes what runs the actions whose blobs are in the node's store;
	// nil is a sandbox.
	Executor func(blobs store.Blobs) (Executor, error)
	// Power is how fast one core is, Cores how many there are; nil and 0 are
	// found out.
	Power Power
	Cores float64
	// Toolchains knows the programs, and is run by whoever gives it; nil looks at
	// those of this machine.
	Toolchains *toolchain.Prober
	// Deaf nodes wait for nothing that the kernel would tell them, beside
	// packets: they ask no LAN for members, watch no files and serve no socket,
	// so that Node.API is the way to them.
	Deaf bool
}

// Executor runs actions: see exec.Executor, whose contract it is. Its methods
// may be called concurrently.
type Executor interface {
	// Execute runs an action whose blobs are in the store and keeps its outputs
	// there. Its error speaks of the machinery, never of the command.
	Execute(ctx context.Context, r exec.Request, started func()) (*action.Result, error)
	// Isolation returns the level at which actions run, and what is missing to
	// the full one.
	Isolation() (level action.Isolation, missing string)
}

// Power says how fast one core is: see host.Meter, whose contract it is. Its
// methods may be called concurrently.
type Power interface {
	BPU() float64
	// Measure finds out what BPU returns, unless it is known.
	Measure(ctx context.Context) (float64, error)
	// Refine measures better, or returns host.ErrBusy.
	Refine(ctx context.Context) (float64, error)
}

// name is what people call the machine.
func (m *Machine) name() string {
	if m.Name != "" {
		return m.Name
	}
	name, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return name
}

func (m *Machine) cores() float64 {
	if m.Cores > 0 {
		return m.Cores
	}
	return host.Cores()
}

func (n *Node) power(blobs *disk.Store) Power {
	if p := n.cfg.Machine.Power; p != nil {
		return p
	}
	return host.NewMeter(blobs.KV("host"), n.cfg.Log)
}

func (n *Node) prober(settings config.Settings, blobs *disk.Store) *toolchain.Prober {
	if p := n.cfg.Machine.Toolchains; p != nil {
		return p
	}
	return toolchain.New(toolchain.Options{
		KV: blobs.CacheKV("toolchain"), Dirs: settings.ToolchainDirs, Marks: filepath.Join(n.cfg.Home, "toolchains"), Log: n.cfg.Log,
	})
}

func (n *Node) executor(settings config.Settings, blobs store.Blobs, o *owner) (Executor, error) {
	if f := n.cfg.Machine.Executor; f != nil {
		return f(blobs)
	}
	var groups exec.Groups
	if o.group != nil {
		groups = o.group
	}
	return exec.New(exec.Options{
		Groups: groups,
		Dir:    filepath.Join(n.cfg.Home, "scratch"), Blobs: blobs, Log: n.cfg.Log, Hidden: []string{n.cfg.Home},
		ToolchainDirs: append(exec.DefaultToolchainDirs(), settings.ToolchainDirs...),
	})
}

// ears are the services that wait for the kernel to tell them something.
func (n *Node) ears(p *parts) []service {
	if n.cfg.Machine.Deaf {
		return nil
	}
	ears := []service{{"watch", func(ctx context.Context) error { return watch(ctx, p.watcher, n.cfg.Log) }}}
	if n.cfg.Machine.Toolchains == nil {
		ears = append(ears, service{"toolchains", p.toolchains.Run})
	}
	return ears
}

// door is what serves clients.
func (n *Node) door(ctx context.Context, o *offer) ([]service, error) {
	if n.cfg.Machine.Deaf {
		return nil, nil
	}
	l, err := api.Listen(ctx, api.ListenOptions{Home: n.cfg.Home, TCP: n.cfg.API})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	n.mu.Lock()
	n.info.API = l.TCPAddr()
	n.mu.Unlock()
	options := api.Options{Log: n.cfg.Log}
	if n.cfg.Ephemeral {
		options.Drain = api.UntilIdle // other commands' builds may run on it
	}
	return []service{{"api", api.New(o, l, options).Run}}, nil
}
