package ninja_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/node/project/ninja"
)

// doublings is a manifest in which $v is 2^n bytes long.
func doublings(n int) string {
	text := "v = x\n"
	for range n {
		text += "v = $v$v\n"
	}
	return text
}

// TestHostileManifests says that a few lines cannot fill a machine.
func TestHostileManifests(t *testing.T) {
	bomb := memory{"input": "include 0\n"}
	for i := range 24 {
		bomb[fmt.Sprint(i)] = fmt.Sprintf("include %d\ninclude %d\n", i+1, i+1)
	}
	bomb["24"] = ""
	many := memory{"input": strings.Repeat("include large\n", 40), "large": "# " + strings.Repeat(" ", 32<<20) + "\n"}
	for _, tc := range []struct {
		name  string
		files memory
		want  string
	}{
		{"IncludesItself", manifest("include input"), "nested more than 128 files deep"},
		{"SubninjaOfItself", manifest("subninja input"), "nested more than 128 files deep"},
		{"EachIncludesTheNextTwice", bomb, "more than 200000 files"},
		{"LargeFileAgainAndAgain", many, "more than 1024 MiB in all files"},
		{"Doubling", memory{"input": doublings(40)}, "input:28: expands to more than 64 MiB"},
		{"DoublingInAPath", memory{"input": doublings(25) + "build $v$v$v: phony\n"}, "input:28: expands to more than 64 MiB"},
		{"LongValueAgainAndAgain", memory{"input": doublings(24) + strings.Repeat("w = $v.\n", 70)},
			"the manifest's variables expand to more than 1024 MiB"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := ninja.Load(tc.files, "input", ninja.Options{})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error = %.300v, want %s", err, tc.want)
			}
		})
	}
}

func TestLongCommandsAreRefused(t *testing.T) {
	rule := "rule r\n  command = $v$description$description\n  description = $v$v\nbuild o: r\n"
	e := load(t, memory{"input": doublings(25) + rule}).Edges[0]
	if _, err := e.Command(); !errors.Is(err, ninja.ErrTooLong) || !ninja.Fatal(err) {
		t.Errorf("error = %v", err)
	}
	if _, err := e.AppendCommand(nil, ninja.WithRspfile); !errors.Is(err, ninja.ErrTooLong) {
		t.Errorf("error = %v", err)
	}
}

// TestDeepGraphs says that a long chain does not use up the stack.
func TestDeepGraphs(t *testing.T) {
	const depth = 1 << 17
	g := load(t, manifest(noRule))
	for i := range depth {
		e := g.AddEdge(g.Scope.Rule("r"))
		g.AddOut(e, fmt.Sprint(i))
		g.AddIn(e, fmt.Sprint(i+1))
	}
	top := nodesOf(g, "0")
	if edges := ninja.EdgesFor(top); len(edges) != depth || edges[0].ID != depth-1 {
		t.Errorf("EdgesFor has %d edges", len(edges))
	}
	if lines := all(ninja.Dot(top, nil)); len(lines) != 2*depth+6 {
		t.Errorf("Dot has %d lines", len(lines))
	}
	n := 0
	for line := range ninja.TreeLines(top, 0) {
		if n++; n > 1000 {
			if !strings.HasSuffix(line, "  1000: r") {
				t.Errorf("line %d is %q", n, line)
			}
			break
		}
	}
}

// TestManyOfEverything reaches the sizes at which scopes and blocks change
// how they keep things.
func TestManyOfEverything(t *testing.T) {
	var text strings.Builder
	for i := range 40 {
		fmt.Fprintf(&text, "v%d = %d\n", i, i)
	}
	text.WriteString("v7 = again\nrule r\n  command = $v7 $v39 $v40 $w12\n")
	for i := range 3000 {
		fmt.Fprintf(&text, "build o%d: r i%d s\n", i, i)
	}
	for i := range 20 {
		fmt.Fprintf(&text, "  w%d = %d\n", i, 2*i)
	}
	g := load(t, memory{"input": text.String()})
	if len(g.Edges) != 3000 || len(g.Nodes) != 6001 || len(g.Lookup("s").Out) != 3000 {
		t.Errorf("%d edges, %d nodes", len(g.Edges), len(g.Nodes))
	}
	for i, want := range map[int]string{0: "again 39  ", 2999: "again 39  24"} {
		if got, err := g.Edges[i].Command(); err != nil || got != want {
			t.Errorf("command %d = %q, %v; want %q", i, got, err, want)
		}
	}
}
