package api

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"strconv"
	"strings"
)

// A command travels in a form that a small program in C writes without a library:
// NAME=VALUE strings, each ended by a NUL, in the order of commandFields, and an
// empty one at the end. What comes back has one line of what became of it, then
// what the command printed.

const (
	// MaxCommand bounds an encoded Command in bytes: more than Linux lets a
	// process have of arguments and environment.
	MaxCommand = 8 << 20
	// maxOutcome bounds the first line of an answer, in bytes.
	maxOutcome = 64 << 10
	// MaxCommandOutput bounds what a command printed, in bytes, as a client takes it.
	MaxCommandOutput = 128 << 20
	// MaxMadeOutput bounds what a command printed of which a client tells what it
	// made, in bytes: results that print more are not kept.
	MaxMadeOutput = 8 << 20
)

var (
	errCommand = errors.New("bad command")
	// ErrTooLong says that a command is of more than MaxCommand bytes.
	ErrTooLong = fmt.Errorf("%w: more than %d bytes", errCommand, MaxCommand)
)

// commandFields are the names of the strings, in order.
var commandFields = []struct {
	name string
	get  func(*Command) []string
	set  func(*Command, string) error
}{
	{"dir", func(c *Command) []string { return some(c.Dir) }, func(c *Command, v string) error { return once(&c.Dir, v) }},
	{"arg", func(c *Command) []string { return c.Argv }, func(c *Command, v string) error { c.Argv = append(c.Argv, v); return nil }},
	{"shell", func(c *Command) []string { return some(c.Shell) }, func(c *Command, v string) error { return once(&c.Shell, v) }},
	{"env", func(c *Command) []string { return c.Env }, func(c *Command, v string) error { c.Env = append(c.Env, v); return nil }},
	{"name", func(c *Command) []string { return some(c.Name) }, func(c *Command, v string) error { return once(&c.Name, v) }},
	{"rank", func(c *Command) []string { return rankText(c.Rank) }, setRank},
	{"terminal", func(c *Command) []string { return flagText(c.Terminal) }, func(c *Command, v string) error { return setFlag(&c.Terminal, v) }},
	{"umask", func(c *Command) []string { return umaskText(c.Umask) }, setUmask},
	{"input", func(c *Command) []string { return c.Inputs }, func(c *Command, v string) error { c.Inputs = append(c.Inputs, v); return nil }},
	{"output", func(c *Command) []string { return c.Outputs }, func(c *Command, v string) error { c.Outputs = append(c.Outputs, v); return nil }},
	{"depfile", func(c *Command) []string { return some(c.Depfile) }, func(c *Command, v string) error { return once(&c.Depfile, v) }},
	{"rspfile", func(c *Command) []string { return some(c.Rspfile) }, func(c *Command, v string) error { return once(&c.Rspfile, v) }},
	{"local", func(c *Command) []string { return some(c.Local) }, func(c *Command, v string) error { return once(&c.Local, v) }},
	{"why", func(c *Command) []string { return some(c.Why) }, func(c *Command, v string) error { return once(&c.Why, v) }},
	{"stdout", func(c *Command) []string { return flagText(c.Stdout) }, func(c *Command, v string) error { return setFlag(&c.Stdout, v) }},
	{"tells", func(c *Command) []string { return flagText(c.Tells) }, func(c *Command, v string) error { return setFlag(&c.Tells, v) }},
}

func some(v string) []string {
	if v == "" {
		return nil
	}
	return []string{v}
}

func once(field *string, v string) error {
	if *field != "" || v == "" {
		return errors.New("given twice, or empty")
	}
	*field = v
	return nil
}

func rankText(r float64) []string {
	if r == 0 {
		return nil
	}
	return []string{strconv.FormatFloat(r, 'g', -1, 64)}
}

func setRank(c *Command, v string) error {
	r, err := strconv.ParseFloat(v, 64)
	if err != nil || !(r > 0) || math.IsInf(r, 0) || c.Rank != 0 {
		return errors.New("want one number above 0")
	}
	c.Rank = r
	return nil
}

func flagText(set bool) []string {
	if !set {
		return nil
	}
	return []string{"1"}
}

func setFlag(flag *bool, v string) error {
	if v != "1" || *flag {
		return errors.New("want 1, once")
	}
	*flag = true
	return nil
}

func umaskText(m *fs.FileMode) []string {
	if m == nil {
		return nil
	}
	return []string{strconv.FormatUint(uint64(*m), 8)}
}

func setUmask(c *Command, v string) error {
	m, err := strconv.ParseUint(v, 8, 32)
	if err != nil || m > uint64(fs.ModePerm) || strconv.FormatUint(m, 8) != v || c.Umask != nil {
		return errors.New("want one number, octal, up to 777")
	}
	mode := fs.FileMode(m)
	c.Umask = &mode
	return nil
}

// Encode writes the command.
func (c *Command) Encode() ([]byte, error) {
	var b bytes.Buffer
	for _, f := range commandFields {
		for _, v := range f.get(c) {
			if strings.ContainsRune(v, 0) {
				return nil, fmt.Errorf("%w: a NUL in %s %q", errCommand, f.name, v)
			}
			b.WriteString(f.name)
			b.WriteByte('=')
			b.WriteString(v)
			b.WriteByte(0)
		}
	}
	b.WriteByte(0)
	if b.Len() > MaxCommand {
		return nil, ErrTooLong
	}
	return b.Bytes(), nil
}

// DecodeCommand reads what Encode wrote, and checks it.
func DecodeCommand(b []byte) (*Command, error) {
	if len(b) > MaxCommand {
		return nil, ErrTooLong
	}
	var c Command
	rest, at := string(b), 0
	for {
		text, after, ended := strings.Cut(rest, "\x00")
		if !ended {
			return nil, fmt.Errorf("%w: no end", errCommand)
		}
		if rest = after; text == "" {
			break
		}
		name, value, _ := strings.Cut(text, "=")
		for at < len(commandFields) && commandFields[at].name != name {
			at++
		}
		if at == len(commandFields) {
			return nil, fmt.Errorf("%w: no field %q, or not in its place", errCommand, name)
		}
		if err := commandFields[at].set(&c, value); err != nil {
			return nil, fmt.Errorf("%w: %s=%q: %w", errCommand, name, value, err)
		}
	}
	if rest != "" {
		return nil, fmt.Errorf("%w: %d bytes behind its end", errCommand, len(rest))
	}
	return &c, c.check()
}

func (c *Command) check() error {
	switch {
	case !cleanDir(c.Dir):
		return fmt.Errorf("%w: directory %q: want a clean absolute path", errCommand, c.Dir)
	case (len(c.Argv) == 0) == (c.Shell == ""):
		return fmt.Errorf("%w: want arguments, or a text for the shell", errCommand)
	case len(c.Argv) > 0 && c.Argv[0] == "":
		return fmt.Errorf("%w: it has no name", errCommand)
	}
	if err := checkEnv(c.Env); err != nil {
		return fmt.Errorf("%w: %w", errCommand, err)
	}
	return nil
}

// outcome is the first line of an answer:
//
//	exit N
//	signal N
//	stdout
//	local REASON
//
// Reasons have tabs between them. A command with stdout has succeeded, and printed
// there what follows.
func (r *CommandResult) outcome() string {
	switch {
	case len(r.Local) > 0:
		plain := make([]string, len(r.Local))
		for i, reason := range r.Local {
			plain[i] = strings.Map(func(c rune) rune {
				if isControl(c) {
					return ' '
				}
				return c
			}, reason)
		}
		line := "local " + strings.Join(plain, "\t")
		return line[:min(len(line), maxOutcome-1)] + "\n"
	case r.Stdout:
		return "stdout\n"
	case r.Signal != 0:
		return fmt.Sprintf("signal %d\n", r.Signal)
	default:
		return fmt.Sprintf("exit %d\n", r.ExitCode)
	}
}

// ReadOutcome reads the first line of an answer into r.
func (r *CommandResult) ReadOutcome(from *bufio.Reader) error {
	var line []byte
	for len(line) == 0 || line[len(line)-1] != '\n' {
		c, err := from.ReadByte()
		if err != nil {
			return fmt.Errorf("read what became of a command: %w", noEOF(err))
		}
		if line = append(line, c); len(line) > maxOutcome {
			return fmt.Errorf("read what became of a command: more than %d bytes", maxOutcome)
		}
	}
	word, rest, more := strings.Cut(strings.TrimSuffix(string(line), "\n"), " ")
	var err error
	switch word {
	case "exit":
		r.ExitCode, err = number(rest, 0)
	case "stdout":
		if r.Stdout = true; more {
			err = errors.New("want nothing behind it")
		}
	case "signal":
		r.Signal, err = number(rest, 1)
	case "local":
		r.Local = strings.Split(rest, "\t")
	default:
		err = errors.New("unknown")
	}
	if err != nil {
		return fmt.Errorf("read what became of a command: %.100q: %w", line, err)
	}
	return nil
}

// number reads an exit code or a signal as this package writes it.
func number(text string, low int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > 255 || strconv.Itoa(n) != text {
		return 0, fmt.Errorf("want a number from %d to 255", low)
	}
	return n, nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
