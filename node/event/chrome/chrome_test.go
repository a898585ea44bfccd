package chrome_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/buildnet/buildnet/node/event/chrome"
)

func TestATraceIsOneJSONObject(t *testing.T) {
	var b bytes.Buffer
	w := chrome.New(&b)
	w.NameProcess(1, "build-2")
	w.NameThread(1, 3, "slot 3")
	w.Add(chrome.Event{Name: "a.o", Category: "run", Phase: chrome.Complete, At: chrome.Micros(time.Millisecond), Takes: 2.5, Process: 1, Thread: 3})
	w.Add(chrome.Event{Name: "over", Phase: chrome.Instant, At: 9, Process: 1, Scope: chrome.OfProcess, Args: map[string]string{"ok": "true"}})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var got struct {
		DisplayTimeUnit string
		TraceEvents     []map[string]any
	}
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatalf("%v in %s", err, &b)
	}
	want := []map[string]any{
		{"name": "process_name", "ph": "M", "ts": 0., "pid": 1., "tid": 0., "args": map[string]any{"name": "build-2"}},
		{"name": "thread_name", "ph": "M", "ts": 0., "pid": 1., "tid": 3., "args": map[string]any{"name": "slot 3"}},
		{"name": "a.o", "cat": "run", "ph": "X", "ts": 1000., "dur": 2.5, "pid": 1., "tid": 3.},
		{"name": "over", "ph": "i", "ts": 9., "pid": 1., "tid": 0., "s": "p", "args": map[string]any{"ok": "true"}},
	}
	if diff := cmp.Diff(want, got.TraceEvents); diff != "" || got.DisplayTimeUnit != "ms" {
		t.Errorf("unit %q: %s", got.DisplayTimeUnit, diff)
	}
}

var errFull = errors.New("disk is full")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestAFaultOfWritingIsToldAtTheEnd(t *testing.T) {
	w := chrome.New(full{})
	w.Add(chrome.Event{Name: "a", Phase: chrome.Instant})
	if err := w.Close(); !errors.Is(err, errFull) {
		t.Errorf("Close = %v", err)
	}
}
