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
}

// New returns an Inputs that knows nothing yet.
func New(o Options) *Inputs {
	return &Inputs{opts: o, turn: make(chan struct{}, 1), scan: include.New(Files{}, include.Options{Bound: o.Bound}), answers: map[string]asked{}}
}

// Rung is what an answer was come to by.
type Rung uint8

// The rungs, from the cheapest.
const (
	Scanned Rung = iota + 1 // by the scan alone
	Asked                   // by the compiler's -M as well
	Unknown                 // nobody knows: the command is for this machine
)

// Answer is what a command reads.
type Answer struct {
	include.Result
	Rung Rung
	// Why says what the scan did not know, and for Unknown what the compiler
	// did not.
	Why string
}

// Of says what a command that works in dir, an absolute path, reads. An error
// is that of ctx: what goes wrong otherwise makes the answer Unknown.
func (in *Inputs) Of(ctx context.Context, c *compile.Command, dir string) (Answer, error) {
	if err := in.take(ctx); err != nil {
		return Answer{}, err
	}
	defer in.give()
	own, err := in.own(ctx, c, dir)
	if err != nil {
		return Answer{Rung: Unknown, Why: err.Error()}, ctx.Err()
	}
	u := include.Unit{Command: c, Dir: dir, Own: own}
	r := in.scan.Scan(u)
	switch {
	case r.Doubt == nil:
		return Answer{Result: r, Rung: Scanned}, nil
	case r.Doubt.Deaf:
		return Answer{Result: r, Rung: Unknown, Why: r.Doubt.Why}, nil
	}
	read, err := in.depends(ctx, c, dir)
	if err != nil {
		return Answer{Result: r, Rung: Unknown, Why: fmt.Sprintf("%s; %v", r.Doubt.Why, err)}, ctx.Err()
	}
	u.Also, u.Told = read, true
	told := in.scan.Scan(u)
	if told.Doubt != nil {
		return Answer{Result: told, Rung: Unknown, Why: told.Doubt.Why}, nil
	}
	return Answer{Result: told, Rung: Asked, Why: r.Doubt.Why}, nil
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
