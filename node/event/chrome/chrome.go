// Package chrome writes what chrome://tracing and Perfetto read: what took how
// long on which threads of which processes, and moments. (The Trace Event Format,
// Google, 2016.) It decides nothing of what is in a trace. Start reading at Writer.
package chrome

import (
	"bufio"
	"encoding/json"
	"io"
	"time"
)

// MaxEvents bounds a trace, to some 1 GB.
const MaxEvents = 5_000_000

// Event is one of the format. Times are in microseconds: see Micros.
type Event struct {
	Name     string            `json:"name"`
	Category string            `json:"cat,omitempty"`
	Phase    Phase             `json:"ph"`
	At       float64           `json:"ts"`
	Takes    float64           `json:"dur,omitempty"`
	Process  int               `json:"pid"`
	Thread   int               `json:"tid"`
	Scope    Scope             `json:"s,omitempty"`
	Args     map[string]string `json:"args,omitempty"`
}

// Phase is what kind of event one is.
type Phase string

// The phases that are written.
const (
	Complete Phase = "X" // something that took a time
	Instant  Phase = "i" // a moment
	metadata Phase = "M"
)

// Scope is what a moment is of.
type Scope string

// The scopes.
const (
	OfProcess Scope = "p"
	OfAll     Scope = "g"
)

// Micros is a time as an Event has it.
func Micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// Writer writes a trace. The first error is kept for Close.
type Writer struct {
	out    *bufio.Writer
	err    error
	events int
}

// New begins a trace on w, which is the caller's.
func New(w io.Writer) *Writer {
	c := &Writer{out: bufio.NewWriter(w)}
	_, c.err = c.out.WriteString(`{"displayTimeUnit":"ms","traceEvents":[`)
	return c
}

// NameProcess says what a process is called.
func (c *Writer) NameProcess(process int, name string) {
	c.Add(Event{Name: "process_name", Phase: metadata, Process: process, Args: map[string]string{"name": name}})
}

// NameThread says what a thread is called.
func (c *Writer) NameThread(process, thread int, name string) {
	c.Add(Event{Name: "thread_name", Phase: metadata, Process: process, Thread: thread, Args: map[string]string{"name": name}})
}

// Add writes an event; beyond MaxEvents it says once that there are more.
func (c *Writer) Add(e Event) {
	if c.err != nil || c.events >= MaxEvents {
		return
	}
	if c.events++; c.events == MaxEvents {
		e = Event{Name: "the trace is full", Phase: Instant, At: e.At, Scope: OfAll}
	}
	text, err := json.Marshal(e)
	if err == nil && c.events > 1 {
		err = c.out.WriteByte(',')
	}
	if err == nil {
		_, err = c.out.Write(text)
	}
	c.err = err
}

// Close ends the trace and returns the first error of writing it.
func (c *Writer) Close() error {
	if c.err == nil {
		_, c.err = c.out.WriteString("]}\n")
	}
	if c.err == nil {
		c.err = c.out.Flush()
	}
	return c.err
}
