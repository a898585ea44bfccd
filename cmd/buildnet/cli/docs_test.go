package cli

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

var update = flag.Bool("update", false, "write docs/cli.md instead of comparing with it")

const docsIntro = "# The command line\n\n" +
	"Every command's `--help`, as it is printed. A test compares them; `go test ./cmd/buildnet/cli -update` writes this file.\n\n" +
	"stdout carries data, stderr talk. Every command that does something takes `--json`. A command finds its node in the home that `--home` or\n" +
	"`BUILDNET_HOME` names, else in the user's own home, else in `/var/lib/buildnet`.\n\n" +
	"With `--json` a command that comes to nothing says so on stdout as well, in one line: `event` is `error`, `error` is\n" +
	"what people are told, `status` is the exit status, and `kind` is `invalid`, `forbidden`, `not_found`, `conflict`,\n" +
	"`unavailable`, `interrupted` or `internal`. A build that fails is an answer and no such error.\n"

func TestDocsAreTheHelpOfEveryCommand(t *testing.T) {
	var b bytes.Buffer
	b.WriteString(docsIntro)
	each((&app{}).root(), func(c *cobra.Command) {
		b.WriteString("\n## " + c.CommandPath() + "\n\n```\n" + help(t, c) + "```\n")
	})
	path := filepath.Join("..", "..", "..", "docs", "cli.md")
	if *update {
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	written, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(written, b.Bytes()) {
		t.Errorf("docs/cli.md (%v) is not the help of the commands; write it with `go test ./cmd/buildnet/cli -update`", err)
	}
}

func TestHelpHasAllThatAUserLooksFor(t *testing.T) {
	each((&app{}).root(), func(c *cobra.Command) {
		text := help(t, c)
		for _, part := range []string{"Usage:\n  buildnet", "Exit status:\n  0 ", "Example:\n  buildnet"} {
			if !strings.Contains(text, part) {
				t.Errorf("%s: the help lacks %q", c.CommandPath(), part)
			}
		}
		for line := range strings.Lines(c.Long) {
			if len(strings.TrimRight(line, "\n")) > 84 {
				t.Errorf("%s: a line of %d characters: %s", c.CommandPath(), len(line), line)
			}
		}
		if c.HasParent() && c.Short == "" {
			t.Errorf("%s has no short text", c.CommandPath())
		}
	})
}

func each(c *cobra.Command, f func(*cobra.Command)) {
	f(c)
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			each(sub, f)
		}
	}
}

func help(t *testing.T, c *cobra.Command) string {
	t.Helper()
	var out, talk bytes.Buffer
	args := slices.Concat(strings.Fields(c.CommandPath())[1:], []string{"--help"})
	if status := Run(context.Background(), args, System{Stdout: &out, Stderr: &talk}); status != exitOK || talk.Len() > 0 {
		t.Errorf("%s --help: status %d, %s", c.CommandPath(), status, talk.String())
	}
	return out.String()
}
