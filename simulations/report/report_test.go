package report_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/buildnet/buildnet/simulations"
	"github.com/buildnet/buildnet/simulations/measure"
	"github.com/buildnet/buildnet/simulations/network"
	"github.com/buildnet/buildnet/simulations/report"
	"github.com/buildnet/buildnet/simulations/scenario"
	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/trace"
	"github.com/buildnet/buildnet/simulations/workload"
)

// simulated is a run of a built-in scenario, to show.
func simulated(t *testing.T, name string) *report.Page {
	t.Helper()
	s, err := scenario.Builtin(name)
	if err != nil {
		t.Fatal(err)
	}
	set, err := s.Setting(1, scenario.Scale{})
	if err != nil {
		t.Fatal(err)
	}
	m, r := measure.New(set), report.NewRecord(set)
	o, err := simulations.Run(context.Background(), set, simulations.Options{Sinks: []trace.Sink{m, r}})
	if err != nil {
		t.Fatal(err)
	}
	sum := m.Summary(o)
	other := *sum
	other.Seed, other.Utilisation = 2, sum.Utilisation/2
	return &report.Page{Record: r, Summary: sum, Runs: []*measure.Summary{sum, &other}, Command: "buildnet sim run " + name}
}

func written(t *testing.T, p *report.Page) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := report.Write(&b, p); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestPageInABrowser(t *testing.T) {
	browser(t)
	t.Parallel()
	page := written(t, simulated(t, "split"))
	for name, flags := range map[string][]string{"light": nil, "dark": {"--force-dark-mode", "--blink-settings=preferredColorScheme=0"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, page, flags...)
			s.check(t, "timeline", "utilisation", "topology", "seeds")
		})
	}
}

// crowd is more peers and executions than a page draws.
func crowd(nodes, runs int) *report.Page {
	set := &setting.Setting{Name: "crowd", Network: network.Config{Sites: []network.Site{{Name: "here"}}}}
	for i := range nodes {
		set.Nodes = append(set.Nodes, setting.Node{Name: fmt.Sprintf("node-%d", i), BPU: 1, Slots: 4})
		set.Network.Site = append(set.Network.Site, 0)
	}
	g := &workload.Graph{}
	for i := range runs {
		g.Steps = append(g.Steps, workload.Step{Name: fmt.Sprint("step", i), Cost: 1})
	}
	set.Builds = []setting.Build{{Name: "all", Graph: g}}
	r := report.NewRecord(set)
	for i := range nodes {
		r.Observe(&trace.Event{Kind: trace.Up, Node: i, Peer: trace.None, Build: trace.None, Step: trace.None})
	}
	for i := range runs {
		at := time.Duration(i) * time.Millisecond
		r.Observe(&trace.Event{At: at, Kind: trace.RunBegan, Node: i % nodes, Peer: trace.None, Step: i})
		if i >= 100 {
			r.Observe(&trace.Event{At: at, Kind: trace.RunEnded, Node: (i - 100) % nodes, Peer: trace.None, Step: i - 100})
		}
	}
	return &report.Page{Record: r, Summary: &measure.Summary{Scenario: "crowd"}, Command: "none"}
}

func TestPageOfACrowdInABrowser(t *testing.T) {
	browser(t)
	t.Parallel()
	page := written(t, crowd(150, 60_000))
	if !bytes.Contains(page, []byte("The 100 busiest of 150 peers, 40000 of 60000 executions.")) {
		t.Error("it is not said that the busiest are shown")
	}
	s := open(t, page)
	if s.Drawn != "40000" {
		t.Errorf("%s executions are drawn", s.Drawn)
	}
	s.check(t, "timeline", "utilisation", "topology")
}

func TestPageNeedsNothingElseAndEscapes(t *testing.T) {
	p := simulated(t, "leader-dies")
	evil := `</script><script>alert(1)</script><img src=x onerror=alert(1)>"'`
	p.Summary.Scenario, p.Command, p.Broken = evil, evil, evil
	p.Summary.Builds[0].Name, p.Summary.Builds[0].Initiator = evil, evil
	page := string(written(t, p))
	if strings.Contains(page, "alert(1)</script>") || strings.Contains(page, "<img") {
		t.Error("text is not escaped")
	}
	if outside := regexp.MustCompile(`<\w[^<>]*(?:src|href)=[^<>]*>|url\(|https?://[^"]*`).FindAllString(page, -1); len(outside) > 0 {
		t.Errorf("it refers to %q", outside)
	}
	if !strings.Contains(page, "default-src &#39;none&#39;; script-src &#39;sha256-") {
		t.Error("it has no policy")
	}
}

func TestNamesOfASettingAreEscaped(t *testing.T) {
	p := crowd(3, 10)
	evil := `<script>alert(1)</script>`
	set := &setting.Setting{
		Name: evil, Nodes: []setting.Node{{Name: evil, BPU: 1, Slots: 1}}, Network: network.Config{Sites: []network.Site{{Name: evil}}, Site: []int{0}},
		Builds: []setting.Build{{Name: evil, Graph: &workload.Graph{Steps: []workload.Step{{Name: evil}}}}},
	}
	p.Record = report.NewRecord(set)
	for _, k := range []trace.Kind{trace.Up, trace.RunBegan, trace.RunEnded, trace.Down} {
		p.Record.Observe(&trace.Event{At: time.Second, Kind: k, Peer: trace.None})
	}
	if page := string(written(t, p)); strings.Contains(page, evil) {
		t.Error("text is not escaped")
	}
}

func TestTraceIsWhatChromeReads(t *testing.T) {
	s, err := scenario.Builtin("leader-dies")
	if err != nil {
		t.Fatal(err)
	}
	set, err := s.Setting(1, scenario.Scale{})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	c := report.NewChrome(&b, set)
	if _, err := simulations.Run(context.Background(), set, simulations.Options{Sinks: []trace.Sink{c}}); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	var got struct {
		TraceEvents []struct {
			Name, Ph string
			Ts, Dur  float64
			Pid, Tid int
		}
	}
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	phases, names, busy := map[string]int{}, map[string]int{}, map[[2]int]float64{}
	for _, e := range got.TraceEvents {
		phases[e.Ph]++
		names[e.Name]++
		if e.Ph != "X" {
			continue
		}
		slot := [2]int{e.Pid, e.Tid}
		if e.Tid < 1 || e.Tid > set.Nodes[e.Pid].Slots {
			t.Fatalf("slot %d of node %d", e.Tid, e.Pid)
		}
		if e.Ts+1 < busy[slot] && e.Ts+e.Dur > busy[slot] {
			continue // events come in the order of their ends
		}
		busy[slot] = e.Ts + e.Dur
	}
	if phases["X"] < 121 || phases["M"] < 3 || names["down"] != 1 || names["leads"] < 2 {
		t.Errorf("%v %v", phases, names)
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestTraceThatCannotBeWrittenSaysSo(t *testing.T) {
	c := report.NewChrome(full{}, crowdSetting())
	for range 10_000 {
		c.Observe(&trace.Event{Kind: trace.Down})
	}
	if err := c.Close(); err == nil || err.Error() != "disk full" {
		t.Error(err)
	}
}

func crowdSetting() *setting.Setting {
	return &setting.Setting{Nodes: []setting.Node{{Name: "a"}}}
}

func TestPlotIsSoundXMLWithAllItsPoints(t *testing.T) {
	svg := report.Plot(report.Chart{
		Title: "a < b & c", X: "nodes", Y: "bytes/s", XScale: report.Log,
		Series: []report.Series{{Name: "<one>", X: []float64{100, 1000, 10000}, Y: []float64{1, 2, 3}}, {Name: "two", X: []float64{100, 1000}, Y: []float64{0, math.NaN()}}},
		Marks:  []report.Mark{{X: 300, Text: "<mark>"}},
	})
	d, points := xml.NewDecoder(strings.NewReader(svg)), 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		start, ok := token.(xml.StartElement)
		if ok && start.Name.Local == "circle" {
			points++
			for _, a := range start.Attr {
				if a.Name.Local == "cx" || a.Name.Local == "cy" {
					if v, err := strconv.ParseFloat(a.Value, 64); err != nil || v < 0 || v > 720 {
						t.Errorf("a point at %s", a.Value)
					}
				}
			}
		}
	}
	if points != 4 {
		t.Errorf("%d points, want 4", points)
	}
	for _, text := range []string{"10k", "prefers-color-scheme:dark", "&lt;one&gt;"} {
		if !strings.Contains(svg, text) {
			t.Errorf("it lacks %q", text)
		}
	}
}

func TestNumbersAreShort(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 1: "1", 0.0671: "0.0671", 999: "999", 1234: "1.23k", 1e6: "1M", 52.58e6: "52.6M", 2.5e9: "2.5G", 3e15: "3000T"} {
		if got := report.Short(v); got != want {
			t.Errorf("%g is %s, want %s", v, got, want)
		}
	}
}
