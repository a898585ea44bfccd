package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/buildnet/buildnet/node/compile"
	"github.com/buildnet/buildnet/node/compile/include"
)

// Limits of one question to a compiler.
const (
	askTimeout = 60 * time.Second
	maxAnswer  = 16 << 20 // bytes
)

// asked is a question to a compiler that was answered.
type asked struct {
	own   include.Own
	stamp include.Stamp // of the compiler
}

// native is what Command.Native stands for.
type native struct {
	text  string
	stamp include.Stamp // of the compiler
}

// keyOf names a question. What is asked from dir is another question where an
// argument leads on from there.
func keyOf(program string, question []string, dir string) string {
	if !compile.Placed(question) {
		dir = ""
	}
	return strings.Join(append([]string{program, dir}, question...), "\x00")
}

// own returns a command's compiler, and where it looks by itself. It is asked
// once, until its file is another.
func (in *Inputs) own(ctx context.Context, c *compile.Command, dir string) (program string, own include.Own, err error) {
	question := c.OwnQuestion()
	program, err = in.program(question[0], dir)
	if err != nil {
		return "", include.Own{}, err
	}
	key, stamp := keyOf(program, question, dir), stampAt(program)
	if a, ok := in.answers[key]; ok && a.stamp == stamp {
		return program, a.own, nil
	}
	if err := another(c.Compiler, program); err != nil {
		return "", include.Own{}, err
	}
	_, answer, err := in.ask(ctx, question, dir, nil)
	if err != nil {
		return "", include.Own{}, err
	}
	own, ok := include.ParseOwn(answer)
	if !ok {
		return "", include.Own{}, fmt.Errorf("%s does not say where its headers are", c.Compiler)
	}
	for i, m := range own.Missing {
		own.Missing[i] = abs(dir, m)
	}
	in.scan.Bind(own.Dirs...)
	in.answers[key] = asked{own, stamp}
	return program, own, nil
}

// launchers stand in for compilers under their names.
var launchers = []string{"ccache", "sccache", "distcc", "icecc", "colorgcc", "buildnet"}

// another says which other compiler a program runs, if it does.
func another(name, program string) error {
	target, err := filepath.EvalSymlinks(program)
	if err == nil && slices.Contains(launchers, filepath.Base(target)) {
		return fmt.Errorf("%s is %s, which runs another compiler", name, target)
	}
	return nil // that there is none is found out when it is asked
}

// program returns the file of a compiler.
func (in *Inputs) program(name, dir string) (string, error) {
	if strings.Contains(name, "/") {
		return abs(dir, name), nil
	}
	for d := range strings.SplitSeq(in.opts.Path, ":") {
		if p := abs(dir, d) + "/" + name; stampAt(p) != (include.Stamp{}) {
			return p, nil
		}
	}
	return "", fmt.Errorf("%s: %w", name, exec.ErrNotFound)
}

// depends asks a compiler for all that a command reads.
func (in *Inputs) depends(ctx context.Context, c *compile.Command, dir string) ([]string, error) {
	var env []string
	for _, p := range c.Env {
		env = append(env, p.Name+"="+p.Value)
	}
	answer, _, err := in.ask(ctx, c.DependQuestion(), dir, env)
	if err != nil {
		return nil, err
	}
	return in.opts.Depfile(answer)
}

// ask runs a compiler, and returns what it prints on either stream.
func (in *Inputs) ask(ctx context.Context, argv []string, dir string, env []string) (out, talk string, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	program, err := in.program(argv[0], dir)
	if err != nil {
		return "", "", err
	}
	cmd := exec.CommandContext(ctx, program, argv[1:]...)
	cmd.Args[0] = argv[0]
	cmd.Dir = dir
	cmd.Env = append([]string{"PATH=" + in.opts.Path, "LC_ALL=C"}, env...)
	cmd.WaitDelay = time.Second
	var stdout, stderr bounded
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		first, _, _ := strings.Cut(strings.TrimSpace(stderr.String()), "\n")
		return "", "", fmt.Errorf("ask %s: %w: %s", argv[0], err, first)
	}
	return stdout.String(), stderr.String(), nil
}

var errLong = errors.New("too long an answer")

// bounded is a buffer that refuses to grow without end.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxAnswer {
		return 0, errLong
	}
	return b.Buffer.Write(p)
}

// stampAt is the stamp of the file that a path leads to, zero if there is none.
func stampAt(p string) include.Stamp {
	kind, stamp := stat(p)
	if kind != include.File {
		return include.Stamp{}
	}
	return stamp
}
