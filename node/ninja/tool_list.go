package ninja

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"

	"github.com/buildnet/buildnet/node/project/ninja"
)

const rulesUsage = `usage: ninja -t rules [options]

options:
  -d     also print the description of the rule
  -h     print this message
`

// rules prints the rules of the outermost scope.
func (c *toolCall) rules() (int, error) {
	set, ok := c.flags("d", rulesUsage)
	if !ok {
		return exitFailed, nil
	}
	d := ninja.NamesOnly
	if set != "" {
		d = ninja.WithDescriptions
	}
	return c.print(c.graph.RuleLines(d))
}

func (c *toolCall) print(lines iter.Seq[string]) (int, error) {
	for line := range lines {
		if _, err := fmt.Fprintln(c.Stdout, line); err != nil {
			return 0, err
		}
	}
	return exitOK, nil
}

// targets prints outputs: those that nothing reads and what they are made of, to
// a depth; those of a rule; all; or sources.
func (c *toolCall) targets() (int, error) {
	depth, mode, value := 1, "depth", ""
	if len(c.args) > 0 {
		mode = c.args[0]
	}
	if len(c.args) > 1 {
		value = c.args[1]
	}
	switch mode {
	case "rule":
		if value == "" {
			return c.print(c.graph.SourceLines())
		}
		return c.print(slices.Values(c.graph.OutputsOf(value)))
	case "all":
		return c.print(c.graph.TargetLines())
	case "depth":
		if value != "" {
			// As in C, what is no number is 0: no bound.
			depth, _ = strconv.Atoi(value)
		}
	default:
		return 0, fmt.Errorf("unknown target tool mode '%s'%s", mode, didYouMean(mode, "rule", "depth", "all"))
	}
	roots, err := c.graph.Roots()
	if err != nil {
		return 0, err
	}
	return c.print(ninja.TreeLines(roots, depth))
}

const commandsUsage = `usage: ninja -t commands [options] [targets]

options:
  -s     only print the final command to build [target], not the whole chain
`

// commands prints what would be run for targets from scratch.
func (c *toolCall) commands() (int, error) {
	set, ok := c.flags("s", commandsUsage)
	if !ok {
		return exitFailed, nil
	}
	nodes, err := c.collect()
	if err != nil {
		return 0, err
	}
	edges := ninja.EdgesFor
	if set != "" {
		edges = ninja.ProducersOf
	}
	return c.write("\n", ninja.Commands(edges(nodes)))
}

// write prints pieces of text, each with its end.
func (c *toolCall) write(end string, pieces iter.Seq2[string, error]) (int, error) {
	for piece, err := range pieces {
		if err != nil {
			return 0, err
		}
		if _, err := fmt.Fprint(c.Stdout, piece, end); err != nil {
			return 0, err
		}
	}
	return exitOK, nil
}

const inputsUsage = `Usage '-t inputs [options] [targets]

List all inputs used for a set of targets. Note that this includes
explicit, implicit and order-only inputs, but not validation ones.

Options:
  -h, --help   Print this message.
`

// inputs prints all that targets are made of, sorted, as the shell takes it.
func (c *toolCall) inputs() (int, error) {
	if _, ok := c.flags("", inputsUsage); !ok {
		return exitFailed, nil
	}
	nodes, err := c.collect()
	if err != nil {
		return 0, err
	}
	return c.print(slices.Values(ninja.InputsFor(nodes)))
}

// query prints what is around nodes.
func (c *toolCall) query() (int, error) {
	if len(c.args) == 0 {
		return 0, errors.New("expected a target to query")
	}
	for _, name := range c.args {
		nodes, err := collect(c.graph, c.logs.deps, []string{name})
		if err != nil {
			return 0, err
		}
		if e := nodes[0].In; e != nil && e.Dyndep != nil && e.Dyndep.DyndepPending {
			c.loadDyndep(e.Dyndep)
		}
		if code, err := c.print(ninja.QueryLines(nodes[0])); err != nil {
			return code, err
		}
	}
	return exitOK, nil
}

// loadDyndep loads what an edge still lacks, or says why not.
func (c *toolCall) loadDyndep(n *ninja.Node) {
	if _, err := c.graph.LoadDyndep(c.Disk, n); err != nil {
		c.status.warning("%v\n", err)
	}
}

// dot prints the graph above targets for graphviz.
func (c *toolCall) dot() (int, error) {
	nodes, err := c.collect()
	if err != nil {
		return 0, err
	}
	return c.print(ninja.Dot(nodes, c.loadDyndep))
}

const compdbUsage = `usage: ninja -t compdb [options] [rules]

options:
  -x     expand @rspfile style response file invocations
`

// compdb prints the commands of some rules, or of all, in the form that clang's
// tools read.
func (c *toolCall) compdb() (int, error) {
	set, ok := c.flags("x", compdbUsage)
	if !ok {
		return exitFailed, nil
	}
	return c.write("", c.graph.Compdb(ninja.CompdbOptions{Directory: c.Dir, Rules: c.args, ExpandRspfile: set != ""}))
}
