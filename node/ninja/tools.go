package ninja

import (
	"fmt"
	"strings"

	"github.com/buildnet/buildnet/node/project/ninja"
)

// phase is how much must be known before a tool runs.
type phase uint8

const (
	afterFlags phase = iota
	afterLoad
	afterLogs
)

// tool is what -t runs.
type tool struct {
	about string
	when  phase
	run   func(*toolCall) (int, error)
}

// toolNames are in the order in which -t list has them. urtle it does not tell.
var toolNames = []string{
	"browse", "clean", "commands", "inputs", "deps", "missingdeps", "graph", "query", "targets",
	"compdb", "recompact", "restat", "rules", "cleandead",
}

var tools = map[string]tool{
	"browse":      {"browse dependency graph in a web browser", afterLoad, (*toolCall).browse},
	"clean":       {"clean built files", afterLoad, (*toolCall).clean},
	"commands":    {"list all commands required to rebuild given targets", afterLoad, (*toolCall).commands},
	"inputs":      {"list all inputs required to rebuild given targets", afterLoad, (*toolCall).inputs},
	"deps":        {"show dependencies stored in the deps log", afterLogs, (*toolCall).deps},
	"missingdeps": {"check deps log dependencies on generated files", afterLogs, (*toolCall).missingDeps},
	"graph":       {"output graphviz dot file for targets", afterLoad, (*toolCall).dot},
	"query":       {"show inputs/outputs for a path", afterLogs, (*toolCall).query},
	"targets":     {"list targets by their rule or depth in the DAG", afterLoad, (*toolCall).targets},
	"compdb":      {"dump JSON compilation database to stdout", afterLoad, (*toolCall).compdb},
	"recompact":   {"recompacts ninja-internal data structures", afterLoad, (*toolCall).recompact},
	"restat":      {"restats all outputs in the build log", afterFlags, (*toolCall).restat},
	"rules":       {"list all rules", afterLoad, (*toolCall).rules},
	"cleandead":   {"clean built files that are no longer produced by the manifest", afterLogs, (*toolCall).cleanDead},
}

// chooseTool takes the value of -t.
func (o *Options) chooseTool(name string) error {
	if name == "list" {
		var b strings.Builder
		b.WriteString("ninja subtools:\n")
		for _, name := range toolNames {
			fmt.Fprintf(&b, "%11s  %s\n", name, tools[name].about)
		}
		return &Answer{Stdout: b.String()}
	}
	if _, ok := tools[name]; !ok {
		return fatal("unknown tool '%s'%s", name, didYouMean(name, toolNames...))
	}
	o.Tool = name
	return nil
}

// toolCall is one run of a tool.
type toolCall struct {
	*session
	graph *ninja.Graph // unless it runs after the flags
	logs  *logs        // if it runs after the logs
	args  []string     // flags have been taken off by flags
}

func (c *toolCall) printf(format string, args ...any) { fmt.Fprintf(c.Stdout, format, args...) }

// flags takes the letters in short from the arguments, and reports false after
// it has printed usage.
func (c *toolCall) flags(short, usage string) (set string, ok bool) {
	g := getopt{args: c.args, short: short + "h", long: map[string]byte{}}
	for {
		flag, _, err := g.next()
		if err != nil {
			fmt.Fprintf(c.Stderr, "ninja: %v\n", err)
		}
		if err != nil || flag == 'h' {
			c.printf("%s", usage)
			return "", false
		}
		if flag == 0 {
			break
		}
		set += string(flag)
	}
	c.args = g.rest()
	return set, true
}

// collect returns the nodes that the arguments name.
func (c *toolCall) collect() ([]*ninja.Node, error) {
	if c.logs != nil {
		return collect(c.graph, c.logs.deps, c.args)
	}
	return collect(c.graph, nil, c.args)
}

func (c *toolCall) browse() (int, error) {
	return 0, fatalError{fmt.Errorf("browse tool not supported on this platform")}
}
