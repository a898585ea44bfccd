// Command scale measures how the mesh grows: it simulates meshes of several
// sizes and writes tables into docs/scale.md and charts beside it. What the
// file says between the tables is written by hand and stays. Start reading at
// main, then at columns.go, which says what is measured.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"github.com/buildnet/buildnet/simulations"
	"github.com/buildnet/buildnet/simulations/check"
	"github.com/buildnet/buildnet/simulations/measure"
	"github.com/buildnet/buildnet/simulations/scenario"
	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/trace"
)

// measured is one run, and what it cost this machine.
type measured struct {
	*measure.Summary
	Wall float64 `json:"wall_s"`
	CPU  float64 `json:"cpu_s"`
	// Apart is the CPU time of the same nodes in worlds of apartSize that know
	// nothing of one another, side by side in one process; 0 if not measured.
	Apart float64 `json:"apart_cpu_s,omitempty"`
	// Memory is the most that the process held, in bytes; 0 where the system
	// does not tell.
	Memory int64 `json:"memory_bytes"`
}

func main() {
	docs := flag.String("docs", "docs", "write scale.md and the charts into `DIR`")
	sizes := flag.String("sizes", "100,300,1000,3000,10000", "sizes of the planet scenario")
	seed := flag.Uint64("seed", 1, "seed of every run")
	one := flag.String("one", "", "run this `SCENARIO` alone and print it as JSON (for the command itself)")
	nodes := flag.Int("nodes", 0, "size of that one")
	worlds := flag.Int("worlds", 0, "run so many of that one side by side, from the seed on, and print nothing")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := errors.New("it takes no arguments; see -help")
	switch {
	case flag.NArg() > 0:
	case *one != "" && *worlds > 0:
		err = runApart(ctx, *one, *nodes, *seed, *worlds)
	case *one != "":
		err = printOne(ctx, *one, *nodes, *seed)
	default:
		err = writeAll(ctx, *docs, *sizes, *seed)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

// printOne runs one scenario in this process, whose memory is then its own.
func printOne(ctx context.Context, name string, nodes int, seed uint64) error {
	s, err := scenario.Builtin(name)
	if err != nil {
		return err
	}
	set, err := s.Setting(seed, scenario.Scale{Nodes: nodes})
	if err != nil {
		return err
	}
	m, err := simulate(ctx, set)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(m)
}

// simulate runs a setting to its end: of a run that ended early there is
// nothing to say.
func simulate(ctx context.Context, set *setting.Setting) (*measured, error) {
	simulations.CollectSeldom()
	m, began := measure.New(set), time.Now()
	o, err := simulations.Run(ctx, set, simulations.Options{Rules: check.All(), Sinks: []trace.Sink{m}})
	if err == nil {
		err = sound(o)
	}
	if err != nil {
		return nil, err
	}
	return &measured{Summary: m.Summary(o), Wall: time.Since(began).Seconds()}, nil
}

// sound refuses what is no measurement.
func sound(o *simulations.Outcome) error {
	switch {
	case o.Stopped:
		return context.Canceled
	case o.Violation != nil:
		return fmt.Errorf("a rule is broken, %s: %s; `buildnet sim run` with this scenario, size and seed shows how", o.Violation.Rule, o.Violation.Text)
	}
	return nil
}

// runApart runs worlds of one scenario side by side, each from a seed of its own.
func runApart(ctx context.Context, name string, nodes int, seed uint64, worlds int) error {
	s, err := scenario.Builtin(name)
	if err != nil {
		return err
	}
	settings := make([]*setting.Setting, worlds)
	for i := range settings {
		if settings[i], err = s.Setting(seed+uint64(i), scenario.Scale{Nodes: nodes}); err != nil {
			return err
		}
	}
	simulations.CollectSeldom()
	outcomes, err := simulations.RunTogether(ctx, settings, func(s *setting.Setting) simulations.Options {
		return simulations.Options{Rules: check.All(), Sinks: []trace.Sink{measure.New(s)}}
	})
	if err != nil {
		return err
	}
	for _, o := range outcomes {
		if err := sound(o); err != nil {
			return err
		}
	}
	return nil
}

// apartSize is the size of the worlds that a large one is compared with: one
// gossip group, in which nothing is looked up.
const apartSize = 100

// run runs one scenario in a process of its own, and, if that makes more than
// one, the same nodes as small worlds.
func run(ctx context.Context, name string, nodes int, seed uint64) (*measured, error) {
	out, state, err := ownProcess(ctx, name, nodes, seed)
	if err != nil {
		return nil, err
	}
	m := &measured{}
	if err := json.Unmarshal(out, m); err != nil {
		return nil, fmt.Errorf("simulate %s of %d nodes: %w", name, nodes, err)
	}
	m.CPU, m.Memory = cpu(state), peak(state)
	fmt.Fprintf(os.Stderr, "%s, %d nodes: %.1f s, %d MiB\n", name, m.Nodes, m.Wall, m.Memory>>20)
	if name == planet && m.Nodes >= 2*apartSize {
		_, state, err = ownProcess(ctx, name, apartSize, seed, "-worlds", strconv.Itoa(m.Nodes/apartSize))
		if err != nil {
			return nil, err
		}
		m.Apart = cpu(state)
	}
	return m, nil
}

// ownProcess has this program run one scenario alone, and returns what it printed.
func ownProcess(ctx context.Context, name string, nodes int, seed uint64, more ...string) ([]byte, *os.ProcessState, error) {
	executable, err := os.Executable()
	if err != nil {
		return nil, nil, fmt.Errorf("find this program: %w", err)
	}
	args := append([]string{"-one", name, "-nodes", strconv.Itoa(nodes), "-seed", strconv.FormatUint(seed, 10)}, more...)
	c := exec.CommandContext(ctx, executable, args...)
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		return nil, nil, fmt.Errorf("simulate %s of %d nodes, seed %d: %w", name, nodes, seed, err)
	}
	return out, c.ProcessState, nil
}

// cpu is what a process used, in seconds.
func cpu(p *os.ProcessState) float64 { return (p.UserTime() + p.SystemTime()).Seconds() }

// planet is the scenario whose size is varied.
const planet = "planet-10000"

func writeAll(ctx context.Context, docs, sizes string, seed uint64) error {
	var planets, others []*measured
	for _, word := range strings.Split(sizes, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 {
			return fmt.Errorf("-sizes: %q is no number of nodes", word)
		}
		m, err := run(ctx, planet, n, seed)
		if err != nil {
			return err
		}
		planets = append(planets, m)
	}
	for _, name := range []string{"lan-10", "office-100", "campus-1000"} {
		m, err := run(ctx, name, 0, seed)
		if err != nil {
			return err
		}
		others = append(others, m)
	}
	if err := writeCharts(docs, planets); err != nil {
		return err
	}
	return writeDocument(docs, planets, others)
}
