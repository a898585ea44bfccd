package report

import (
	"fmt"
	"io"
	"time"

	"github.com/buildnet/buildnet/node/event/chrome"
	"github.com/buildnet/buildnet/simulations/setting"
	"github.com/buildnet/buildnet/simulations/trace"
)

// Chrome is a trace.Sink that writes what chrome://tracing and Perfetto read:
// a process a node, a thread a slot; faults and epochs are instant events. Only
// nodes on which something happens appear. (The Trace Event Format, Google,
// 2016.)
type Chrome struct {
	families trace.Families
	setting  *setting.Setting
	out      *chrome.Writer
	lanes    lanes
	open     map[key]begun
	named    map[int]bool
	names    []string
}

// begun is an execution that has not ended.
type begun struct {
	lane int
	at   time.Duration
}

// NewChrome makes a Chrome of a run of s that writes to w, which is the
// caller's.
func NewChrome(w io.Writer, s *setting.Setting) *Chrome {
	c := &Chrome{setting: s, out: chrome.New(w), lanes: make(lanes, len(s.Nodes)), open: map[key]begun{}, named: map[int]bool{}}
	for i := range s.Nodes {
		c.names = append(c.names, s.Nodes[i].Name)
	}
	return c
}

// Observe implements trace.Sink.
func (c *Chrome) Observe(told *trace.Event) {
	folded := c.families.Fold(*told)
	e := &folded
	switch e.Kind {
	case trace.RunBegan:
		c.begin(e)
	case trace.RunEnded, trace.RunCut:
		c.end(e)
	default:
		if i, ok := instants[e.Kind]; ok && (e.Kind != trace.Up || e.Value > 0) {
			c.instant(e, i)
		}
	}
}

// instant is what is called a moment, and of what kind it is.
type instant struct{ name, category string }

var instants = map[trace.Kind]instant{
	trace.Up: {"up again", "fault"}, trace.Down: {"down", "fault"}, trace.Slowed: {"slowed", "fault"}, trace.Lent: {"owner", "fault"}, trace.Clogged: {"clogged", "fault"},
	trace.DiskFailed: {"disk fails", "fault"}, trace.LostBlobs: {"blobs lost", "fault"}, trace.Split: {"cut off", "fault"}, trace.Joined: {"joined", "fault"},
	trace.Broke: {"stream broke", "fault"}, trace.Healed: {"faults are over", "fault"},
	trace.Led: {"leads", "epoch"}, trace.Elected: {"follows a leader", "epoch"}, trace.Deposed: {"deposed", "epoch"},
	trace.Began: {"build begins", "build"}, trace.Over: {"build is over", "build"}, trace.GaveUp: {"step given up", "build"},
}

func (c *Chrome) begin(e *trace.Event) {
	k := key{e.Node, e.Build, e.Step}
	if _, twice := c.open[k]; !twice {
		c.open[k] = begun{c.lanes.take(e.Node), e.At}
	}
}

func (c *Chrome) end(e *trace.Event) {
	k := key{e.Node, e.Build, e.Step}
	b, ok := c.open[k]
	if !ok {
		return
	}
	delete(c.open, k)
	c.lanes.free(e.Node, b.lane)
	build := &c.setting.Builds[e.Build]
	end := "cut short"
	if e.Kind == trace.RunEnded {
		end = fmt.Sprintf("exit code %d", e.Value)
	}
	c.write(chrome.Event{
		Name: build.Graph.Steps[e.Step].Name, Category: build.Name, Phase: chrome.Complete, At: chrome.Micros(b.at), Takes: chrome.Micros(e.At - b.at), Process: e.Node, Thread: b.lane + 1,
		Args: map[string]string{"build": build.Name, "action": fmt.Sprintf("%016x", e.Digest), "end": end},
	})
}

// instant writes a moment of a process.
func (c *Chrome) instant(e *trace.Event, i instant) {
	c.write(chrome.Event{
		Name: i.name, Category: i.category, Phase: chrome.Instant, At: chrome.Micros(e.At), Process: max(0, e.Node), Scope: chrome.OfProcess,
		Args: map[string]string{"event": e.String(c.names)},
	})
}

func (c *Chrome) write(e chrome.Event) {
	if !c.named[e.Process] {
		c.named[e.Process] = true
		c.out.NameProcess(e.Process, c.setting.Nodes[e.Process].Name)
	}
	c.out.Add(e)
}

// Close ends the file and returns the first error of writing it.
func (c *Chrome) Close() error { return c.out.Close() }
