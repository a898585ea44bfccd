package ninja

import (
	"fmt"
	"iter"
	"slices"
	"strings"
)

// CompdbOptions are those of -t compdb.
type CompdbOptions struct {
	// Directory is the absolute path that the commands run in.
	Directory string
	// Rules are those whose edges to list; none means all. A rule that is named
	// twice is listed twice.
	Rules []string
	// ExpandRspfile puts a response file's content in place of @rspfile.
	ExpandRspfile bool
}

// Compdb writes a compilation database, piece by piece.
func (g *Graph) Compdb(opts CompdbOptions) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if !yield("[", nil) {
			return
		}
		separator := "\n"
		for _, e := range g.Edges {
			if len(e.Inputs) == 0 || len(e.Outputs) == 0 {
				continue
			}
			for range opts.times(e.Rule.Name) {
				entry, err := e.compdbEntry(opts)
				if !yield(separator+entry, err) || err != nil {
					return
				}
				separator = ",\n"
			}
		}
		yield("\n]\n", nil)
	}
}

// times returns how often edges of a rule are listed.
func (o CompdbOptions) times(rule string) (n int) {
	if len(o.Rules) == 0 {
		return 1
	}
	for _, r := range o.Rules {
		if r == rule {
			n++
		}
	}
	return n
}

func (e *Edge) compdbEntry(opts CompdbOptions) (string, error) {
	command, err := e.Command()
	if err == nil && opts.ExpandRspfile {
		command, err = e.inlineRspfile(command)
	}
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("  {\n")
	for i, field := range [][2]string{{"directory", opts.Directory}, {"command", command},
		{"file", e.Inputs[0].Path}, {"output", e.Outputs[0].Path}} {
		if i > 0 {
			b.WriteString(",\n")
		}
		fmt.Fprintf(&b, "    \"%s\": \"%s\"", field[0], jsonEscaped(field[1]))
	}
	b.WriteString("\n  }")
	return b.String(), nil
}

// inlineRspfile puts the response file's content in place of @rspfile, line
// breaks as spaces.
func (e *Edge) inlineRspfile(command string) (string, error) {
	path, err := e.Rspfile()
	if err != nil || path == "" {
		return command, err
	}
	at := strings.Index(command, path)
	if at <= 0 || command[at-1] != '@' {
		return command, nil
	}
	content, err := e.RspfileContent()
	if err != nil {
		return "", err
	}
	return command[:at-1] + strings.ReplaceAll(content, "\n", " ") + command[at+len(path):], nil
}

// jsonEscaped returns s as it stands in a JSON string. Bytes that are no UTF-8
// stay as they are: paths and commands are bytes, and a database that changes
// them names other files.
func jsonEscaped(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == '"' || r == '\\' }) {
		return s
	}
	out := make([]byte, 0, len(s)+8)
	for i := range len(s) {
		c := s[i]
		if short := strings.IndexByte("\b\f\n\r\t\\\"", c); short >= 0 {
			out = append(out, '\\', `bfnrt\"`[short])
		} else if c < ' ' {
			out = fmt.Appendf(out, "\\u%04x", c)
		} else {
			out = append(out, c)
		}
	}
	return string(out)
}

// Dot writes what nodes are made from as a graph for Graphviz, line by line.
// loadDyndep is called before an edge is drawn whose dyndep file has not been
// loaded; it may be nil.
func Dot(nodes []*Node, loadDyndep func(*Node)) iter.Seq[string] {
	return func(yield func(string) bool) {
		d := dot{yield: yield, loadDyndep: loadDyndep, nodes: map[*Node]bool{}, edges: map[*Edge]bool{}}
		d.print("digraph ninja {")
		d.print(`rankdir="LR"`)
		d.print("node [fontsize=10, shape=box, height=0.25]")
		d.print("edge [fontsize=10]")
		for _, n := range nodes {
			d.tree(n)
		}
		d.print("}")
	}
}

type dot struct {
	yield      func(string) bool
	loadDyndep func(*Node)
	stopped    bool
	nodes      map[*Node]bool
	edges      map[*Edge]bool
}

func (d *dot) print(format string, args ...any) {
	if !d.stopped {
		d.stopped = !d.yield(fmt.Sprintf(format, args...))
	}
}

// tree draws n and what it is made from, each before its inputs.
func (d *dot) tree(n *Node) {
	for todo := []*Node{n}; len(todo) > 0 && !d.stopped; {
		n := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if e := d.node(n); e != nil {
			for _, in := range slices.Backward(e.Inputs) {
				todo = append(todo, in)
			}
		}
	}
}

// node draws one node and the edge that makes it. It returns the edge if it
// was not drawn before.
func (d *dot) node(n *Node) *Edge {
	if d.nodes[n] {
		return nil
	}
	d.nodes[n] = true
	d.print(`"n%d" [label="%s"]`, n.ID, strings.ReplaceAll(n.Path, `\`, "/"))
	e := n.In
	if e == nil || d.edges[e] {
		return nil
	}
	d.edges[e] = true
	if e.Dyndep != nil && e.Dyndep.DyndepPending && d.loadDyndep != nil {
		d.loadDyndep(e.Dyndep)
	}
	d.edge(e)
	return e
}

func (d *dot) edge(e *Edge) {
	if len(e.Inputs) == 1 && len(e.Outputs) == 1 {
		d.print(`"n%d" -> "n%d" [label=" %s"]`, e.Inputs[0].ID, e.Outputs[0].ID, e.Rule.Name)
		return
	}
	d.print(`"e%d" [label="%s", shape=ellipse]`, e.ID, e.Rule.Name)
	for _, out := range e.Outputs {
		d.print(`"e%d" -> "n%d"`, e.ID, out.ID)
	}
	for i, in := range e.Inputs {
		style := ""
		if e.IsOrderOnly(i) {
			style = " style=dotted"
		}
		d.print(`"n%d" -> "e%d" [arrowhead=none%s]`, in.ID, e.ID, style)
	}
}
