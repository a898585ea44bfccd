package overhead

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/pprof"
	"syscall"
	"time"

	"github.com/buildnet/buildnet/node"
	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/node/heap"
	"github.com/buildnet/buildnet/node/host"
	"github.com/buildnet/buildnet/node/toolchain"
	"github.com/buildnet/buildnet/store"
)

// role is the environment variable that makes a process of the test binary a
// node; its value is a setup.
const role = "BUILDNET_OVERHEAD_NODE"

// setup is what a node of a fleet is.
type setup struct {
	Home  string
	Token string
	Slots int
	BPU   float64
	// Programs is where the commands of actions are.
	Programs string
	// Kind of executor, and how long it takes where it is no real one.
	Kind  kind
	Takes time.Duration
}

// kind of executor of a node.
type kind string

const (
	pretending kind = "pretending" // starts no process
	leading    kind = "leading"    // runs nothing for others
	sandboxing kind = "sandboxing" // the real one
)

// question is what the benchmark asks of a node, an answer what it says. They
// are lines of JSON on its standard input and output.
type question struct {
	Build   string // directory of the project
	Profile string // file that takes a CPU profile
	Halt    bool   // the profile ends
	Invite  bool
}

type answer struct {
	Error    string
	Peer     string
	Token    string
	Members  int // that live
	CPU      spent
	Finished event.BuildFinished
}

// live is the life of a node's process.
func live(encoded string) error {
	var s setup
	if err := json.Unmarshal([]byte(encoded), &s); err != nil {
		return err
	}
	heap.Floor(host.Memory())
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	n, err := node.New(s.config())
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	select {
	case <-n.Ready():
	case err := <-ended:
		return err
	}
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		var q question
		if err := json.Unmarshal(in.Bytes(), &q); err != nil {
			return err
		}
		if err := json.NewEncoder(os.Stdout).Encode(tell(ctx, n, q)); err != nil {
			return err
		}
	}
	stop()
	return <-ended
}

func (s setup) config() node.Config {
	c := node.Config{
		Home: s.Home, Listen: "127.0.0.1:0", API: node.NoAPI, Slots: s.Slots, Join: s.Token,
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Machine: node.Machine{
			Name: filepath.Base(s.Home), Power: power(s.BPU), Cores: float64(s.Slots),
			// A node names the toolchains of its machine once: seconds of CPU.
			Toolchains: toolchain.New(toolchain.Options{Path: s.Programs, System: s.Programs}),
		},
	}
	if s.Kind != sandboxing {
		c.Machine.Executor = func(blobs store.Blobs) (node.Executor, error) { return pretender{s.Kind, s.Takes, blobs}, nil }
	}
	return c
}

func tell(ctx context.Context, n *node.Node, q question) answer {
	a := answer{Peer: string(n.Info().Peer)}
	err := func() error {
		switch {
		case q.Profile != "":
			f, err := os.Create(q.Profile)
			if err != nil {
				return err
			}
			return pprof.StartCPUProfile(f)
		case q.Halt:
			pprof.StopCPUProfile()
		case q.Invite:
			i, err := n.API().Invite(ctx, api.InviteRequest{Reach: api.Everywhere})
			a.Token = i.Token
			return err
		case q.Build != "":
			return n.API().Build(ctx, api.BuildRequest{Dir: q.Build, UID: os.Geteuid()}, func(e event.Event) {
				if f, last := e.(event.BuildFinished); last {
					a.Finished = f
				}
			})
		}
		return nil
	}()
	if err == nil {
		a.Members, err = alive(ctx, n)
	}
	if err != nil {
		a.Error = err.Error()
	}
	a.CPU = spentSoFar()
	return a
}

// alive counts the members of whom the node knows all that a build needs.
func alive(ctx context.Context, n *node.Node) (count int, err error) {
	members, err := n.API().Members(ctx)
	for _, m := range members {
		if m.State == "alive" && m.BPU > 0 && (m.Self || m.RTTMS > 0) {
			count++
		}
	}
	return count, err
}

// spent is what a process has used of the CPU.
type spent struct {
	Self     time.Duration
	Children time.Duration // what it started and has ended
}

func spentSoFar() spent { return spent{used(syscall.RUSAGE_SELF), used(syscall.RUSAGE_CHILDREN)} }

func (s spent) since(before spent) spent {
	return spent{s.Self - before.Self, s.Children - before.Children}
}

func (s spent) all() time.Duration { return s.Self + s.Children }

func used(who int) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		panic(fmt.Sprintf("getrusage: %v", err)) // it knows both
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// ask asks a node's process.
func ask(in io.Writer, out *json.Decoder, q question) (a answer, err error) {
	if err := json.NewEncoder(in).Encode(q); err != nil {
		return a, err
	}
	if err := out.Decode(&a); err != nil {
		return a, err
	}
	if a.Error != "" {
		return a, fmt.Errorf("node: %s", a.Error)
	}
	return a, nil
}
