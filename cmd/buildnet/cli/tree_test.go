package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// withoutJSON are the commands that have no --json, and why.
var withoutJSON = map[string]string{}

// section is what docs/cli.md has of a command.
func section(docs, command string) string {
	_, after, _ := strings.Cut(docs, "\n## "+command+"\n")
	text, _, _ := strings.Cut(after, "\n## ")
	return text
}

func TestEveryCommandHasAnExampleAndJSONAndItsPlaceInTheDocs(t *testing.T) {
	docs, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "cli.md"))
	if err != nil {
		t.Fatal(err)
	}
	each((&app{}).root(), func(c *cobra.Command) {
		path := c.CommandPath()
		if first, _, _ := strings.Cut(c.Example, "\n"); !strings.HasPrefix(first, "  buildnet ") || c.HasParent() && !strings.Contains(c.Example, path) && c.Runnable() && !c.HasSubCommands() {
			t.Errorf("%s: the example is %q", path, c.Example)
		}
		// A command that holds others prints its help alone, unless it takes flags of
		// its own.
		if !c.HasSubCommands() && c.Flags().Lookup("json") == nil && withoutJSON[path] == "" {
			t.Errorf("%s has no --json, and no reason for it is listed", path)
		}
		told := section(string(docs), path)
		if told == "" {
			t.Errorf("docs/cli.md has no section of %s", path)
		}
		usage, _, _ := strings.Cut(told, "\nFlags:\n")
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if !strings.Contains(told, "--"+f.Name+" ") {
				t.Errorf("docs/cli.md: %s lacks --%s", path, f.Name)
			}
			if f.Usage == "" {
				t.Errorf("%s: --%s is not explained", path, f.Name)
			}
			short := f.Shorthand != "" && strings.Contains(usage, "-"+f.Shorthand+" ")
			if f.Name != "help" && !short && !strings.Contains(usage, "--"+f.Name) {
				t.Errorf("%s: its usage line lacks --%s", path, f.Name)
			}
		})
	})
}
