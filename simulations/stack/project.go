package stack

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Shape is a project of compiles, links and tests: each unit reads its source
// and a header, each library some units, each test some libraries, and the
// last step all tests.
type Shape struct {
	Units, Libraries, Tests int
	// Bytes of each output.
	Bytes int64
	Seed  uint64
	// Cost of each unit; 0 draws one to four seconds.
	Cost time.Duration
}

// Project is a working tree that nodes can build.
type Project struct {
	Root  string
	Steps []Step // dependencies first
}

// Step is one step of a Project.
type Step struct {
	ID, Output string
	Cost       time.Duration // on a core of 1 BPU
	Bytes      int64
	Sources    []string
	Deps       []int // places in Project.Steps
}

// packageName is the name of a project's one package, in front of its steps' IDs.
const packageName = "p"

// NewProject writes a project into a directory of its own. Projects of equal
// shapes are equal.
func NewProject(t testing.TB, s Shape) *Project {
	t.Helper()
	r := rand.New(rand.NewPCG(s.Seed, 0))
	p := &Project{Root: t.TempDir()}
	units, libraries, tests := s.Units, s.Libraries, s.Tests
	for i := range units {
		cost := s.Cost
		if cost == 0 {
			cost = seconds(1 + 3*r.Float64())
		}
		p.add(s, fmt.Sprintf("obj/u%d.o", i), cost, []string{"include/all.h", fmt.Sprintf("src/u%d.c", i)}, nil)
	}
	for i := range libraries {
		p.add(s, fmt.Sprintf("lib/l%d.a", i), seconds(0.5+r.Float64()), nil, spread(0, units, libraries, i))
	}
	for i := range tests {
		p.add(s, fmt.Sprintf("test/t%d.log", i), seconds(2+4*r.Float64()), nil, spread(units, libraries, tests, i))
	}
	if tests > 0 {
		p.add(s, "all.txt", time.Second, nil, spread(units+libraries, tests, 1, 0))
	}
	p.write(t)
	return p
}

func seconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Round(time.Millisecond)
}

// spread returns the share of the i-th of n readers in count steps from first
// on, and one of the next reader's.
func spread(first, count, n, i int) []int {
	var deps []int
	for j := i * count / n; j < min((i+1)*count/n+1, count); j++ {
		deps = append(deps, first+j)
	}
	return deps
}

func (p *Project) add(s Shape, output string, cost time.Duration, sources []string, deps []int) {
	p.Steps = append(p.Steps, Step{
		ID: packageName + ":" + output, Output: output, Cost: cost, Bytes: s.Bytes, Sources: sources, Deps: deps,
	})
}

func (p *Project) write(t testing.TB) {
	t.Helper()
	var config strings.Builder
	config.WriteString("version: 1\npackages:\n  - name: " + packageName + "\n    tools: [" + tool + "]\n    steps:\n")
	sources := map[string]bool{}
	for _, s := range p.Steps {
		inputs := slices.Clone(s.Sources)
		for _, d := range s.Deps {
			inputs = append(inputs, p.Steps[d].Output)
		}
		for _, source := range s.Sources {
			sources[source] = true
		}
		fmt.Fprintf(&config, "      - {run: [%s, %q, %q], inputs: [%s], outputs: [%s]}\n", tool,
			strconv.FormatFloat(s.Cost.Seconds(), 'g', -1, 64), strconv.FormatInt(s.Bytes, 10), strings.Join(inputs, ", "), s.Output)
	}
	p.file(t, ".buildnet/config.yaml", config.String())
	for source := range sources {
		p.file(t, source, "what "+source+" says\n")
	}
}

func (p *Project) file(t testing.TB, name, content string) {
	t.Helper()
	at := filepath.Join(p.Root, name)
	if err := os.MkdirAll(filepath.Dir(at), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Work is the sum of all steps, on a core of 1 BPU.
func (p *Project) Work() time.Duration {
	var sum time.Duration
	for _, s := range p.Steps {
		sum += s.Cost
	}
	return sum
}

// CriticalPath is the longest chain of steps, on a core of 1 BPU.
func (p *Project) CriticalPath() time.Duration {
	var longest time.Duration
	ends := make([]time.Duration, len(p.Steps))
	for i, s := range p.Steps {
		for _, d := range s.Deps {
			ends[i] = max(ends[i], ends[d])
		}
		ends[i] += s.Cost
		longest = max(longest, ends[i])
	}
	return longest
}

// Outputs reads what a build left in the tree, by path.
func (p *Project) Outputs(t testing.TB) map[string]string {
	t.Helper()
	outputs := map[string]string{}
	for _, s := range p.Steps {
		b, err := os.ReadFile(filepath.Join(p.Root, s.Output))
		if err != nil {
			t.Errorf("output of %s: %v", s.ID, err)
		}
		outputs[s.Output] = string(b)
	}
	return outputs
}
