package event

// The events of this file are for those who watch a build: they say where its
// steps are and how far, and how its workers are. They have the names that the
// founding document gives them. They are not in a build's record, and which of
// them come depends on how long things take.

// TaskAssignment says that a step was given to a peer, which brings its inputs
// there first.
type TaskAssignment struct {
	Build string `json:"build"`
	Step  string `json:"step"`
	Peer  string `json:"peer"`
}

// Measure is how it is known how far a step is.
type Measure string

// The measures.
const (
	Told Measure = "step" // the step says so
	Aged Measure = "time" // it has run so much of the time that was expected
)

// TaskProgress says how much of a step that runs is done. It comes at most once
// a second.
type TaskProgress struct {
	Build   string  `json:"build"`
	Step    string  `json:"step"`
	Peer    string  `json:"peer"`
	Percent int     `json:"percent"`
	By      Measure `json:"by"`
	// ElapsedMS is how long it has run. ExpectedMS is how long it was expected to;
	// absent when that is not known.
	ElapsedMS  int64 `json:"elapsed_ms"`
	ExpectedMS int64 `json:"expected_ms,omitempty"`
}

// TaskComplete says what came of an assignment. The step itself is finished when
// StepFinished says so: its outputs have to come here first, and what came to
// nothing on one peer is done again.
type TaskComplete struct {
	Build string `json:"build"`
	Step  string `json:"step"`
	Peer  string `json:"peer"`
	// OK says that there is a result, and its command succeeded.
	OK bool `json:"ok"`
	// Error is why there is none, which is not the command's fault.
	Error string `json:"error,omitempty"`
	RunMS int64  `json:"run_ms,omitempty"`
}

// WorkerStatus says how a peer is that works for the build. It comes at the
// interval that the peer's node is set to.
type WorkerStatus struct {
	Build string `json:"build"`
	Peer  string `json:"peer"`
	// Slots are those that the build has there, Busy steps of it run, Waiting
	// others are there. Running names the first of those that run.
	Slots   int      `json:"slots"`
	Busy    int      `json:"busy"`
	Waiting int      `json:"waiting"`
	Running []string `json:"running"`
	// Memory that the machine has in use, in bytes; absent when it is not known.
	Memory int64 `json:"memory_bytes,omitempty"`
	// Share of the machine that its owner leaves to others, 0 to 1.
	Share float64 `json:"share"`
}

// Kind implements Event.
func (TaskAssignment) Kind() string { return "task.assignment" }

// Kind implements Event.
func (TaskProgress) Kind() string { return "task.progress" }

// Kind implements Event.
func (TaskComplete) Kind() string { return "task.complete" }

// Kind implements Event.
func (WorkerStatus) Kind() string { return "worker.status" }

// Passing reports whether e is of interest only while the build runs.
func Passing(e Event) bool {
	switch e.(type) {
	case TaskAssignment, TaskProgress, TaskComplete, WorkerStatus:
		return true
	default:
		return false
	}
}

// decodePassing reads events of this file; nil, nil says that it is none.
func decodePassing(kind string, line []byte) (Event, error) {
	switch kind {
	case TaskAssignment{}.Kind():
		return decode[TaskAssignment](line)
	case TaskProgress{}.Kind():
		return decode[TaskProgress](line)
	case TaskComplete{}.Kind():
		return decode[TaskComplete](line)
	case WorkerStatus{}.Kind():
		return decode[WorkerStatus](line)
	default:
		return nil, nil
	}
}
