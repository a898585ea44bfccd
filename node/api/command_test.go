package api_test

import (
	"bufio"
	"bytes"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/buildnet/buildnet/node/api"
)

func fullCommand() api.Command {
	umask := fs.FileMode(0o027)
	return api.Command{
		Dir: "/src/b", Argv: []string{"cc", "-c", "", "a=b\n.c"}, Env: []string{"PATH=/bin", "EMPTY="}, Name: "a.o", Rank: 2.5, Terminal: true, Umask: &umask,
		Inputs: []string{"../a.c", "../b.h"}, Outputs: []string{"a.o"}, Depfile: "a.d", Rspfile: "a.rsp", Local: "the console pool", Why: "a.c has changed", Tells: true,
	}
}

func TestACommandTravelsWhole(t *testing.T) {
	full := fullCommand()
	for _, c := range []api.Command{full, {Dir: "/", Shell: "cd x && make"}} {
		b, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := api.DecodeCommand(b)
		if err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		if diff := cmp.Diff(&c, got); diff != "" {
			t.Error(diff)
		}
	}
	b, err := (&api.Command{Dir: "/d", Argv: []string{"cc", "x.c"}, Env: []string{"A=1"}}).Encode()
	if want := "dir=/d\x00arg=cc\x00arg=x.c\x00env=A=1\x00\x00"; err != nil || string(b) != want {
		t.Errorf("encoded %q, %v; want %q", b, err, want)
	}
}

func TestBadCommandsAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":             "",
		"no end":              "dir=/\x00arg=cc\x00",
		"more behind the end": "dir=/\x00arg=cc\x00\x00x",
		"no command":          "dir=/\x00\x00",
		"two commands":        "dir=/\x00arg=cc\x00shell=cc\x00\x00",
		"no directory":        "arg=cc\x00\x00",
		"relative directory":  "dir=a\x00arg=cc\x00\x00",
		"unclean directory":   "dir=/a/..\x00arg=cc\x00\x00",
		"two directories":     "dir=/\x00dir=/\x00arg=cc\x00\x00",
		"empty program":       "dir=/\x00arg=\x00\x00",
		"another order":       "arg=cc\x00dir=/\x00\x00",
		"unknown field":       "dir=/\x00arg=cc\x00zip=1\x00\x00",
		"no value":            "dir=/\x00arg=cc\x00name\x00\x00",
		"no variable":         "dir=/\x00arg=cc\x00env=A\x00\x00",
		"nameless variable":   "dir=/\x00arg=cc\x00env==1\x00\x00",
		"rank":                "dir=/\x00arg=cc\x00rank=-1\x00\x00",
		"infinite rank":       "dir=/\x00arg=cc\x00rank=Inf\x00\x00",
		"no number":           "dir=/\x00arg=cc\x00rank=NaN\x00\x00",
		"terminal":            "dir=/\x00arg=cc\x00terminal=yes\x00\x00",
		"umask":               "dir=/\x00arg=cc\x00umask=8\x00\x00",
		"large umask":         "dir=/\x00arg=cc\x00umask=1000\x00\x00",
		"long umask":          "dir=/\x00arg=cc\x00umask=022\x00\x00",
		"two umasks":          "dir=/\x00arg=cc\x00umask=22\x00umask=22\x00\x00",
		"too long":            strings.Repeat("x", api.MaxCommand+1),
	} {
		if c, err := api.DecodeCommand([]byte(text)); err == nil {
			t.Errorf("%s: taken as %+v", name, c)
		}
	}
	if _, err := (&api.Command{Dir: "/", Argv: []string{"a\x00b"}}).Encode(); err == nil {
		t.Error("a NUL in an argument was written")
	}
	if _, err := (&api.Command{Dir: "/", Argv: []string{strings.Repeat("x", api.MaxCommand)}}).Encode(); !errors.Is(err, api.ErrTooLong) {
		t.Errorf("more than is taken was written: %v", err)
	}
}

func TestOutcomes(t *testing.T) {
	for text, want := range map[string]api.CommandResult{
		"exit 0\n":            {},
		"exit 255\nmore":      {ExitCode: 255},
		"signal 11\n":         {Signal: 11},
		"stdout\na: b":        {Stdout: true},
		"local one\n":         {Local: []string{"one"}},
		"local one\ttwo: x\n": {Local: []string{"one", "two: x"}},
	} {
		var r api.CommandResult
		if err := r.ReadOutcome(bufio.NewReader(strings.NewReader(text))); err != nil || !cmp.Equal(r, want) {
			t.Errorf("%q is %+v, %v", text, r, err)
		}
	}
	for _, text := range []string{"", "exit 0", "exit\n", "exit 256\n", "exit -1\n", "exit 01\n", "signal 0\n", "stdout 0\n", "stdout \n", "gone 1\n", "\n", strings.Repeat("x", 1<<20)} {
		var r api.CommandResult
		if err := r.ReadOutcome(bufio.NewReader(strings.NewReader(text))); err == nil {
			t.Errorf("%.20q is %+v", text, r)
		}
	}
}

func FuzzCommand(f *testing.F) {
	c := fullCommand()
	b, err := c.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("dir=/\x00shell=a\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := api.DecodeCommand(b)
		var told *api.Error
		if err != nil {
			if errors.As(err, &told) && told.Kind != api.Invalid {
				t.Fatal(err)
			}
			return
		}
		again, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if c.Rank == 0 && !bytes.Equal(b, again) { // a number may be written in many ways
			t.Fatalf("%q became %q", b, again)
		}
	})
}

func FuzzOutcome(f *testing.F) {
	f.Add("local a\tb\n")
	f.Fuzz(func(t *testing.T, text string) {
		var r api.CommandResult
		if r.ReadOutcome(bufio.NewReader(strings.NewReader(text))) == nil && (len(r.Local) > 0) != strings.HasPrefix(text, "local ") {
			t.Fatalf("%q is %+v", text, r)
		}
	})
}
