package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/simulations/measure"
)

func runs(nodes ...int) []*measured {
	var all []*measured
	for _, n := range nodes {
		s := &measure.Summary{Scenario: "planet", Nodes: n, Gossip: measure.SpreadOf([]float64{float64(n)}), Hash: "abc"}
		all = append(all, &measured{Summary: s, Wall: 1, CPU: float64(n), Memory: int64(n) << 20})
	}
	return all
}

func TestWhatIsWrittenByHandStays(t *testing.T) {
	docs := t.TempDir()
	write := func(n ...int) string {
		t.Helper()
		if err := writeCharts(docs, runs(n...)); err != nil {
			t.Fatal(err)
		}
		if err := writeDocument(docs, runs(n...), runs(5)); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(docs, "scale.md"))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	first := write(100, 1000)
	for _, text := range []string{"| 100 |", "| 1000 |", "| planet | 5 |", "![Hops of a look-up](scale-hops.svg)"} {
		if !strings.Contains(first, text) {
			t.Errorf("it lacks %q", text)
		}
	}
	byHand := strings.Replace(first, "### Membership\n", "### Membership\n\nIt bends because.\n", 1)
	if err := os.WriteFile(filepath.Join(docs, "scale.md"), []byte(byHand), 0o644); err != nil {
		t.Fatal(err)
	}
	second := write(300)
	if !strings.Contains(second, "### Membership\n\nIt bends because.\n") || strings.Contains(second, "| 1000 |") || !strings.Contains(second, "| 300 |") {
		t.Error(second)
	}
	for _, c := range charts {
		if svg, err := os.ReadFile(filepath.Join(docs, c.file)); err != nil || !strings.HasPrefix(string(svg), "<svg ") {
			t.Errorf("%s: %v", c.file, err)
		}
	}
}

func TestPartsThatDoNotFitAreRefused(t *testing.T) {
	for _, doc := range []string{"", "<!-- scale: a -->\n", "<!-- scale: b -->\n<!-- /scale -->\n", "<!-- scale: a -->\n<!-- /scale -->\n<!-- scale: a -->\n<!-- /scale -->\n"} {
		if got, err := fill(doc, map[string]string{"a": "x\n"}); err == nil {
			t.Errorf("%q becomes %q", doc, got)
		}
	}
	if got, err := fill("1\n<!-- scale: a -->\nold\n<!-- /scale -->\n2\n", map[string]string{"a": "x\n"}); err != nil || got != "1\n<!-- scale: a -->\nx\n<!-- /scale -->\n2\n" {
		t.Errorf("%q %v", got, err)
	}
}
