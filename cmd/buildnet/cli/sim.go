package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/buildnet/buildnet/simulations/scenario"
)

func (a *app) simCommand() *cobra.Command {
	c := group(&cobra.Command{
		Use:   "sim COMMAND",
		Short: "simulate a mesh: what would happen if",
		Long: "Runs meshes of up to twenty thousand machines inside this process, with a clock of\n" +
			"their own: machines, links, builds and what goes wrong come from a scenario, chance\n" +
			"from a seed. What decides is what decides on real nodes; what a seed did it does\n" +
			"again. No node is needed.",
		Example: "  buildnet sim run leader-dies",
	})
	c.AddCommand(a.simRunCommand(), a.simReplayCommand(), a.simListCommand())
	return c
}

// listed is a built-in scenario in a list. Its field names are a contract.
type listed struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	// Nodes and Builds are 0 where each seed decides.
	Nodes  int `json:"nodes"`
	Builds int `json:"builds"`
}

func (a *app) simListCommand() *cobra.Command {
	var as format
	c := leaf(&cobra.Command{
		Use:   "list [--json]",
		Short: "list the scenarios that come with the program",
		Long: "Lists the scenarios that come with the program; `buildnet sim run` runs one, or a\n" +
			"file of your own.",
		Example: "  buildnet sim list",
		Args:    takes(""),
		RunE:    func(*cobra.Command, []string) error { return a.listScenarios(as) },
	}, exitOK, exitUsage)
	as.flag(c, "print one JSON array")
	return c
}

func (a *app) listScenarios(as format) error {
	var all []listed
	for _, s := range scenario.Builtins() {
		all = append(all, listed{s.Name(), s.Description(), s.Nodes(), s.Builds(s.Nodes())})
	}
	if as == asLine {
		return a.printJSON(all)
	}
	w := tabwriter.NewWriter(a.sys.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SCENARIO\tNODES\tBUILDS\t")
	for _, l := range all {
		nodes, builds := fmt.Sprint(l.Nodes), fmt.Sprint(l.Builds)
		if l.Nodes == 0 {
			nodes, builds = "drawn", "drawn"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", l.Name, nodes, builds, l.Description)
	}
	return w.Flush()
}

// loadScenario finds a built-in scenario, or reads a file.
func loadScenario(name string) (*scenario.Scenario, error) {
	if ext := filepath.Ext(name); ext != ".yaml" && ext != ".yml" && !strings.ContainsRune(name, filepath.Separator) {
		s, err := scenario.Builtin(name)
		if err != nil {
			return nil, usage{err}
		}
		return s, nil
	}
	src, err := os.ReadFile(name)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, usage{fmt.Errorf("read the scenario: %w; `buildnet sim list` lists those that come with the program", err)}
	case err != nil:
		return nil, usage{fmt.Errorf("read the scenario: %w", err)}
	}
	s, err := scenario.Load(src, name)
	if err != nil {
		return nil, usage{err}
	}
	return s, nil
}
