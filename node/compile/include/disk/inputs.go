package disk

import (
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/buildnet/buildnet/node/compile"
	"github.com/buildnet/buildnet/node/compile/include"
)

// Options of Inputs.
type Options struct {
	// Path is the PATH that compilers are found in.
	Path string
	// Bound are directories that an action sees as a whole.
	Bound []string
	// Depfile reads a depfile as gcc writes it, and returns what it says the
	// target depends on.
	Depfile func(text string) ([]string, error)
}

// Inputs says what compiles read. It may be used concurrently; one question is
// answered at a time, since most take less than a millisecond.
type Inputs struct {
	opts Options
	// turn is held by whoever uses the fields below.
	turn    chan struct{}
	scan    *include.Scanner
	answers map[string]asked
	natives map[string]native
	links   map[string]libraries
	says    map[string]native // what archivers say of themselves
}

// New returns an Inputs that knows nothing yet.
func New(o Options) *Inputs {
	return &Inputs{opts: o, turn: make(chan struct{}, 1), scan: include.New(Files{}, include.Options{Bound: o.Bound}), answers: map[string]asked{}, natives: map[string]native{}, links: map[string]libraries{}, says: map[string]native{}}
}

type (
	// Rung is what an answer was come to by.
	Rung = compile.Rung
	// Answer is what a command reads.
	Answer = compile.Answer
)

// The rungs.
const (
	Scanned = compile.Scanned
	Asked   = compile.Asked
	Unknown = compile.Unknown
)

// Of says what a command that works in dir, an absolute path, reads. An error
// is that of ctx: what goes wrong otherwise makes the answer Unknown.
func (in *Inputs) Of(ctx context.Context, c *compile.Command, dir string) (Answer, error) {
	if err := in.take(ctx); err != nil {
		return Answer{}, err
	}
	defer in.give()
	program, own, err := in.own(ctx, c, dir)
	if err != nil {
		return Answer{Rung: Unknown, Why: err.Error()}, ctx.Err()
	}
	a, err := in.answer(ctx, include.Unit{Command: c, Dir: dir, Own: own})
	a.Program, a.Own, a.Missing = program, own.Dirs, own.Missing
	return a, err
}

func (in *Inputs) answer(ctx context.Context, u include.Unit) (Answer, error) {
	r := in.scan.Scan(u)
	switch {
	case r.Doubt == nil:
		return Answer{Reads: r, Rung: Scanned}, nil
	case r.Doubt.Deaf:
		return Answer{Reads: r, Rung: Unknown, Why: r.Doubt.Why}, nil
	}
	read, err := in.depends(ctx, u.Command, u.Dir)
	if err != nil {
		return Answer{Reads: r, Rung: Unknown, Why: fmt.Sprintf("%s; %v", r.Doubt.Why, err)}, ctx.Err()
	}
	u.Also, u.Told = read, true
	told := in.scan.Scan(u)
	if told.Doubt != nil {
		return Answer{Reads: told, Rung: Unknown, Why: told.Doubt.Why}, nil
	}
	return Answer{Reads: told, Rung: Asked, Why: r.Doubt.Why}, nil
}

// Native is what the compiler says that Command.Native stands for on this
// machine: the answer to its NativeQuestion.
func (in *Inputs) Native(ctx context.Context, c *compile.Command, dir string) (string, error) {
	if err := in.take(ctx); err != nil {
		return "", err
	}
	defer in.give()
	question := c.NativeQuestion()
	program, err := in.program(question[0], dir)
	if err != nil {
		return "", err
	}
	key, stamp := keyOf(program, question, dir), stampAt(program)
	if a, ok := in.natives[key]; ok && a.stamp == stamp {
		return a.text, nil
	}
	_, text, err := in.ask(ctx, question, dir, nil)
	if err != nil {
		return "", err
	}
	in.natives[key] = native{text, stamp}
	return text, nil
}

func (in *Inputs) take(ctx context.Context) error {
	select {
	case in.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (in *Inputs) give() { <-in.turn }

// Begin says that a build begins: see include.Scanner, as for those below.
func (in *Inputs) Begin(ctx context.Context) error {
	return in.with(ctx, func(s *include.Scanner) { s.Begin() })
}

// Stir says that a command may have written anything.
func (in *Inputs) Stir(ctx context.Context) error {
	return in.with(ctx, func(s *include.Scanner) { s.Stir() })
}

// Expect says which files the graph will make.
func (in *Inputs) Expect(ctx context.Context, paths ...string) error {
	return in.with(ctx, func(s *include.Scanner) { s.Expect(paths...) })
}

// Made says which files are there now.
func (in *Inputs) Made(ctx context.Context, paths ...string) error {
	return in.with(ctx, func(s *include.Scanner) { s.Made(paths...) })
}

func (in *Inputs) with(ctx context.Context, do func(*include.Scanner)) error {
	if err := in.take(ctx); err != nil {
		return err
	}
	defer in.give()
	do(in.scan)
	return nil
}

// abs is p as seen from dir. It keeps "..", which may follow a link.
func abs(dir, p string) string {
	if path.IsAbs(p) {
		return p
	}
	return strings.TrimSuffix(dir, "/") + "/" + p
}
