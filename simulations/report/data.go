package report

import (
	"fmt"
	"time"
)

// Limits of what a page draws: a browser must stay usable.
const (
	maxPeers     = 100
	maxDrawnRuns = 40_000
)

// data is what the script of a page draws. Times are in milliseconds.
type data struct {
	End    float64  `json:"end"`
	Peers  []peer   `json:"peers"`
	Builds []string `json:"builds"`
	// Runs has seven numbers a run: place in Peers, lane, begin, end, place in
	// Builds, place in Steps, and how it ended.
	Runs []float64 `json:"runs"`
	// Steps are names of steps, each once.
	Steps []string `json:"steps"`
	// Down has three numbers a time in which a peer was down: place in Peers,
	// begin, end.
	Down  []float64 `json:"down"`
	Marks []line    `json:"marks"`
}

type peer struct {
	Name  string `json:"name"`
	About string `json:"about"`
	Lanes int    `json:"lanes"`
}

// line is a moment; Peer is the place in Peers, or -1.
type line struct {
	At   float64  `json:"at"`
	Peer int      `json:"peer"`
	Kind MarkKind `json:"kind"`
	Text string   `json:"text"`
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// dataOf chooses what is drawn, and says what is not.
func dataOf(r *Record) (d data, said string) {
	nodes := r.busiest(maxPeers)
	row := map[int]int{}
	d.End = millis(r.now)
	for i, n := range nodes {
		row[n] = i
		spec := &r.setting.Nodes[n]
		d.Peers = append(d.Peers, peer{spec.Name, fmt.Sprintf("%s BPU, %d slots, %s", Short(spec.BPU), spec.Slots, r.setting.Network.Sites[r.setting.Network.Site[n]].Name), max(1, len(r.lanes[n]))})
	}
	d.takeRuns(r, row)
	d.takeMoments(r, row)
	said = fmt.Sprintf("%d peers, %d executions.", len(nodes), len(d.Runs)/runNumbers)
	if all := len(r.setting.Nodes); all > len(nodes) {
		said = fmt.Sprintf("The %d busiest of %d peers, %d of %d executions.", len(nodes), all, len(d.Runs)/runNumbers, len(r.runs)+r.left)
	} else if n := len(r.runs) + r.left; n > len(d.Runs)/runNumbers {
		said = fmt.Sprintf("%d peers, the first %d of %d executions.", len(nodes), len(d.Runs)/runNumbers, n)
	}
	return d, said
}

// runNumbers is how many numbers a run has in data.
const runNumbers = 7

func (d *data) takeRuns(r *Record, row map[int]int) {
	builds, steps := &names{of: map[string]int{}}, &names{of: map[string]int{}}
	defer func() { d.Builds, d.Steps = builds.all, steps.all }()
	for _, one := range r.runs {
		at, ok := row[one.node]
		if !ok {
			continue
		}
		if len(d.Runs) == runNumbers*maxDrawnRuns {
			return
		}
		build := &r.setting.Builds[one.build]
		d.Runs = append(d.Runs, float64(at), float64(one.lane), millis(one.from), millis(r.endOf(one)),
			float64(builds.place(build.Name)), float64(steps.place(build.Graph.Steps[one.step].Name)), float64(one.how))
	}
}

// names numbers names.
type names struct {
	of  map[string]int
	all []string
}

func (n *names) place(name string) int {
	i, known := n.of[name]
	if !known {
		i = len(n.all)
		n.of[name] = i
		n.all = append(n.all, name)
	}
	return i
}

func (d *data) takeMoments(r *Record, row map[int]int) {
	for _, l := range r.lives {
		if at, ok := row[l.node]; ok {
			d.Down = append(d.Down, float64(at), millis(l.from), millis(l.to))
		}
	}
	for n, from := range r.down {
		if at, ok := row[n]; ok && from >= 0 {
			d.Down = append(d.Down, float64(at), millis(from), d.End)
		}
	}
	for i, m := range r.marks {
		if i == maxMarks {
			return
		}
		at, ok := row[m.node]
		if !ok {
			at = -1
		}
		d.Marks = append(d.Marks, line{millis(m.at), at, m.kind, m.text})
	}
}
