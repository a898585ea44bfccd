package overhead

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/event"
)

var profiles = flag.String("overhead.profiles", "", "a directory that takes a CPU profile of each node while it builds")

func TestMain(m *testing.M) {
	if encoded := os.Getenv(role); encoded != "" {
		if err := live(encoded); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// fleet is nodes in processes of their own, that know one another.
type fleet struct {
	b     *testing.B
	nodes []*process
	idle  time.Duration // that all use together in a second without a build
}

// process is the process of one node.
type process struct {
	kind kind
	peer string
	in   io.WriteCloser
	out  *json.Decoder
	cmd  *exec.Cmd
}

// slots of each node.
const slots = 4

// start starts nodes of these kinds, on which an action takes a time where it is
// no real one. The first founds the mesh and asks for the builds; one that is to
// lead seems stronger than the others.
func start(b *testing.B, takes time.Duration, kinds ...kind) *fleet {
	b.Helper()
	f := &fleet{b: b}
	s := setup{Slots: slots, Programs: programs(b), Takes: takes}
	for i, k := range kinds {
		s.Home, s.Kind, s.BPU = filepath.Join(b.TempDir(), fmt.Sprintf("node%d", i)), k, 1
		if k == leading {
			s.BPU = 64
		}
		p := f.process(s)
		f.nodes = append(f.nodes, p)
		if i == 0 {
			s.Token = f.ask(p, question{Invite: true}).Token
		}
		p.peer = f.ask(p, question{}).Peer
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for _, p := range f.nodes {
		for f.ask(p, question{}).Members != len(kinds) {
			<-tick.C
		}
	}
	f.calm()
	return f
}

// calm returns when nobody does anything but keep the mesh, or after a minute: a
// node looks at its machine once it has started.
func (f *fleet) calm() {
	f.b.Helper()
	for range 60 {
		before := f.cpu()
		<-time.After(time.Second)
		busy := time.Duration(0)
		f.idle = 0
		for i, now := range f.cpu() {
			took := now.since(before[i]).all()
			busy, f.idle = max(busy, took), f.idle+took
		}
		if busy < 50*time.Millisecond {
			return
		}
	}
}

func (f *fleet) process(s setup) *process {
	f.b.Helper()
	encoded, err := json.Marshal(s)
	if err != nil {
		f.b.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), role+"="+string(encoded))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		f.b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		f.b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		f.b.Fatal(err)
	}
	f.b.Cleanup(func() {
		if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
			f.b.Errorf("node in %s: %v", s.Home, err)
		}
	})
	return &process{kind: s.Kind, in: in, out: json.NewDecoder(out), cmd: cmd}
}

func (f *fleet) ask(p *process, q question) answer {
	f.b.Helper()
	a, err := ask(p.in, p.out, q)
	if err != nil {
		f.b.Fatal(err)
	}
	return a
}

// cpu is what each node has used so far.
func (f *fleet) cpu() []spent {
	each := make([]spent, len(f.nodes))
	for i, p := range f.nodes {
		each[i] = f.ask(p, question{}).CPU
	}
	return each
}

// afterwards is how long what a build leaves behind may take: results that are
// given to their owners, announcements, the push of a log.
const afterwards = time.Second

// build builds a project and returns what each node spent on it.
func (f *fleet) build(dir string) ([]spent, event.BuildFinished) {
	f.b.Helper()
	f.profile()
	before := f.cpu()
	done := f.ask(f.nodes[0], question{Build: dir}).Finished
	<-time.After(afterwards)
	took := f.cpu()
	for _, p := range f.nodes {
		f.ask(p, question{Halt: true})
	}
	for i := range took {
		took[i] = took[i].since(before[i])
	}
	if !done.OK {
		f.b.Fatalf("build: %+v", done)
	}
	return took, done
}

// profile begins a profile of each node, if they are wanted.
func (f *fleet) profile() {
	if *profiles == "" {
		return
	}
	for i, p := range f.nodes {
		f.ask(p, question{Profile: filepath.Join(*profiles, fmt.Sprintf("%s%d.pprof", p.kind, i))})
	}
}

// programs makes a directory with the one program of all machines.
func programs(b *testing.B) string {
	b.Helper()
	dir := b.TempDir()
	if err := os.WriteFile(filepath.Join(dir, tool), []byte("does nothing\n"), 0o755); err != nil {
		b.Fatal(err)
	}
	return dir
}

// tool is the program of every step.
const tool = "work"

// project writes steps that read a source of their own and one that all have,
// and depend on nothing.
func project(b *testing.B, steps int) string {
	return projectOf(b, steps, tool, nil)
}

// projectOf writes such steps of a command, whose program they read if it is not
// one of the machine's.
func projectOf(b *testing.B, steps int, command string, program []byte) string {
	b.Helper()
	dir := b.TempDir()
	var config strings.Builder
	config.WriteString("version: 1\npackages:\n  - name: p\n    tools: [" + tool + "]\n    steps:\n")
	write(b, dir, "all.h", "what all have\n")
	inputs := "all.h"
	if program != nil {
		inputs += ", " + filepath.Base(command)
		write(b, dir, filepath.Base(command), string(program))
	}
	for i := range steps {
		fmt.Fprintf(&config, "      - {run: [%s, obj/%d.o], inputs: [%s, src/%d.c], outputs: [obj/%d.o]}\n", command, i, inputs, i, i)
		write(b, dir, fmt.Sprintf("src/%d.c", i), fmt.Sprintf("source %d\n", i))
	}
	write(b, dir, ".buildnet/config.yaml", config.String())
	return dir
}

func write(b *testing.B, dir, name, content string) {
	b.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil { // one is a program
		b.Fatal(err)
	}
}
