package cli

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/node/event/chrome"
)

// buildProcess is the one of a trace that stands for the build itself.
const buildProcess = 0

// tracer makes a Chrome trace of a build's events: a process for each machine, a
// thread for each of its slots. Only this machine's clock counts: what ran
// elsewhere began when it was heard to begin, and took what its machine says.
type tracer struct {
	names   names
	began   time.Time
	last    time.Time
	started map[string]time.Time
	runs    []tracedRun
	moments []tracedMoment
}

// tracedRun is a step on a machine, from when its inputs began to be fetched.
type tracedRun struct {
	event.StepFinished
	from, until time.Time
	begun       time.Time // its command
	thread      int
}

type tracedMoment struct {
	at         time.Time
	name, kind string
	args       map[string]string
}

// event takes note of an event that came at a time.
func (t *tracer) event(e event.Event, at time.Time) {
	if t.began.IsZero() {
		t.began, t.started = at, map[string]time.Time{}
	}
	t.last = at
	switch e := e.(type) {
	case event.BuildStarted:
		if e.Names != nil {
			t.names = e.Names
		}
	case event.StepStarted:
		t.started[e.Step] = at
	case event.StepFinished:
		t.finished(e, at)
	case event.LeaderElected:
		t.moment(at, "leader: "+t.names.of(e.Leader), "epoch", map[string]string{"epoch": fmt.Sprint(e.Epoch)})
	case event.BuildWeakened:
		t.moment(at, "workers lost: "+e.Mode, "fault", nil)
	case event.Notice:
		t.moment(at, e.Text, string(e.Level), nil)
	case event.HookStarted:
		t.moment(at, e.Package+": "+e.Hook+" begins", "hook", nil)
	case event.HookFinished:
		t.moment(at, e.Package+": "+e.Hook+" ends", "hook", nil)
	}
}

func (t *tracer) moment(at time.Time, name, kind string, args map[string]string) {
	t.moments = append(t.moments, tracedMoment{at, name, kind, args})
}

func (t *tracer) finished(e event.StepFinished, at time.Time) {
	ran := e.Status == event.Executed || e.Status == event.Failed && e.RunMS > 0
	if !ran {
		t.moment(at, e.Step, string(e.Status), map[string]string{"made by": t.names.of(e.Peer)})
		return
	}
	begun, heard := t.started[e.Step]
	if !heard {
		begun = at.Add(-millis(e.RunMS + e.UploadMS))
	}
	t.runs = append(t.runs, tracedRun{StepFinished: e, begun: begun, from: begun.Add(-millis(e.FetchMS)), until: begun.Add(millis(e.RunMS + e.UploadMS))})
}

func millis(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }

// write writes the trace.
func (t *tracer) write(to io.Writer) error {
	w := chrome.New(to)
	w.NameProcess(buildProcess, "build")
	w.Add(chrome.Event{Name: "build", Category: "build", Phase: chrome.Complete, Takes: chrome.Micros(t.last.Sub(t.began)), Process: buildProcess})
	for _, m := range t.moments {
		w.Add(chrome.Event{Name: m.name, Category: m.kind, Phase: chrome.Instant, At: t.at(m.at), Process: buildProcess, Scope: chrome.OfProcess, Args: m.args})
	}
	processes := map[string]int{}
	for _, r := range t.lanes() {
		process, named := processes[r.Peer]
		if !named {
			process = len(processes) + 1
			processes[r.Peer] = process
			w.NameProcess(process, t.machine(r.Peer))
		}
		t.run(w, r, process)
	}
	return w.Close()
}

// machine is what a peer is called; commands of which no node knows ran here.
func (t *tracer) machine(peer string) string {
	if peer == "" {
		return "here"
	}
	return t.names.of(peer)
}

// run writes a step: what was fetched for it, its command, and what came back.
func (t *tracer) run(w *chrome.Writer, r tracedRun, process int) {
	part := func(name, kind string, from time.Time, ms int64, args map[string]string) {
		if ms > 0 || kind == "run" {
			w.Add(chrome.Event{
				Name: name, Category: kind, Phase: chrome.Complete, At: t.at(from), Takes: chrome.Micros(millis(ms)), Process: process, Thread: r.thread + 1, Args: args,
			})
		}
	}
	part("fetch: "+r.Step, "fetch", r.from, r.FetchMS, nil)
	part(r.Step, "run", r.begun, r.RunMS, t.args(&r))
	part("upload: "+r.Step, "upload", r.begun.Add(millis(r.RunMS)), r.UploadMS, nil)
}

func (t *tracer) args(r *tracedRun) map[string]string {
	args := map[string]string{"status": string(r.Status)}
	for name, value := range map[string]string{"why": r.Why, "here": strings.Join(r.Here, "; "), "action": r.Digest} {
		if value != "" {
			args[name] = value
		}
	}
	if r.QueuedMS > 0 {
		args["queued"] = fmt.Sprint(r.QueuedMS, " ms")
	}
	if c := r.Choice; c != nil {
		args["choice"] = fmt.Sprintf("%s: here %d ms, %s %d ms", c.Why, c.HereMS, t.names.of(c.Peer), c.ThereMS)
	}
	return args
}

func (t *tracer) at(when time.Time) float64 { return chrome.Micros(max(0, when.Sub(t.began))) }

// lanes returns the runs in the order of their beginnings, each on the lowest
// thread of its machine that is free.
func (t *tracer) lanes() []tracedRun {
	runs := slices.Clone(t.runs)
	slices.SortStableFunc(runs, func(a, b tracedRun) int {
		return cmp.Or(a.from.Compare(b.from), cmp.Compare(a.Peer, b.Peer), cmp.Compare(a.Step, b.Step))
	})
	free := map[string][]time.Time{} // of each thread of a machine
	for i := range runs {
		r := &runs[i]
		threads := free[r.Peer]
		r.thread = slices.IndexFunc(threads, func(until time.Time) bool { return !until.After(r.from) })
		if r.thread < 0 {
			r.thread = len(threads)
			threads = append(threads, time.Time{})
		}
		threads[r.thread] = r.until
		free[r.Peer] = threads
	}
	return runs
}
