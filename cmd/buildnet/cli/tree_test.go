package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// withoutJSON are the commands that have no --json, and why.
var withoutJSON = map[string]string{"buildnet cc": "its words are the compiler's"}

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
		for _, flag := range flagLine.FindAllStringSubmatch(c.LocalFlags().FlagUsages(), -1) {
			short, name, means := flag[1], flag[2], flag[3]
			if !strings.Contains(told, "--"+name+" ") || means == "" {
				t.Errorf("docs/cli.md: %s lacks --%s, or it is not explained", path, name)
			}
			if name != "help" && !strings.Contains(usage, "--"+name) && (short == "" || !strings.Contains(usage, "-"+short+" ")) {
				t.Errorf("%s: its usage line lacks --%s", path, name)
			}
		}
	})
}

// flagLine has a flag's short name, its name and what it means.
var flagLine = regexp.MustCompile(`(?m)^ +(?:-(\w), )?--([\w-]+) +(?:\S+ {2,})?(.*)$`)
