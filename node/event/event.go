// Package event is what a build says of itself while it runs: the lines of
// `buildnet build --json`, the stream of the node's API, and what the terminal
// view is drawn from. A stream begins with BuildStarted (or BuildQueued before
// it) and ends with BuildFinished. Field names are a contract with users: add,
// never rename. A Recording is what of a build remains for a simulator. The
// package only declares and encodes. Start reading at Event.
package event

import (
	"encoding/json"
	"fmt"
)

// Event is one thing that happened in a build.
type Event interface {
	// Kind is the value of the "event" field, such as "step.finished".
	Kind() string
}

// BuildQueued says that the build waits for another one of the same tree.
type BuildQueued struct {
	Build  string `json:"build"`
	Behind string `json:"behind"`
}

// BuildStarted is the first event of a build that runs. Steps is the number of
// steps of its targets, their dependencies included.
type BuildStarted struct {
	Build   string   `json:"build"`
	Root    string   `json:"root"`
	Targets []string `json:"targets"`
	Steps   int      `json:"steps"`
	// Members of the mesh that are alive, this node included.
	Members int `json:"members"`
	// Names maps the peers of the mesh to their host names, for people.
	Names map[string]string `json:"names,omitempty"`
	// Client is the program whose commands these are, in an invocation: absent
	// for a build of a configuration. Jobs is how many of its commands are worth
	// being asked for at once.
	Client string `json:"client,omitempty"`
	Jobs   int    `json:"jobs,omitempty"`
	// Invocation is what a client of the Remote Execution API calls this build
	// (RequestMetadata.tool_invocation_id).
	Invocation string `json:"invocation,omitempty"`
}

// LeaderElected comes at the election and at every take-over, and again when the
// standbys or the heir change.
type LeaderElected struct {
	Build    string   `json:"build"`
	Leader   string   `json:"leader"`
	Standbys []string `json:"standbys"`
	// Heir goes on with the build if this machine dies; absent while nobody does.
	Heir  string `json:"heir,omitempty"`
	Epoch uint64 `json:"epoch"`
}

// BuildExpected comes before the election of a build of which enough is known:
// what is left to be done, and how long that is expected to take.
type BuildExpected struct {
	Build string `json:"build"`
	// Steps are left, of Known of them it is known how long they take.
	Steps int `json:"steps"`
	Known int `json:"known"`
	// Work of them in BPU-seconds.
	Work  float64 `json:"work"`
	ETAMS int64   `json:"eta_ms"`
}

// StepStarted says that a peer began to execute a step.
type StepStarted struct {
	Build string `json:"build"`
	Step  string `json:"step"`
	Peer  string `json:"peer"`
	// ExpectedMS is how long it is expected to run there; absent when that is
	// not known.
	ExpectedMS int64 `json:"expected_ms,omitempty"`
}

// Status is what came of a step.
type Status string

// The statuses of a step; a build's counts of them add up to its steps.
const (
	Executed    Status = "executed"
	CachedLocal Status = "cached_local" // result known here
	CachedMesh  Status = "cached_mesh"  // result known to another member
	Skipped     Status = "skipped"      // outputs already in place
	Failed      Status = "failed"
	NotRun      Status = "not_run" // behind a failure, or cancelled
)

// StepFinished is final: what it announces is never taken back.
type StepFinished struct {
	Build  string `json:"build"`
	Step   string `json:"step"`
	Digest string `json:"digest"` // of the action; empty when it never got one
	// Peer executed the step, now or for the cache.
	Peer     string `json:"peer"`
	Status   Status `json:"status"`
	QueuedMS int64  `json:"queued_ms"`
	FetchMS  int64  `json:"fetch_ms"`
	RunMS    int64  `json:"run_ms"`
	UploadMS int64  `json:"upload_ms"`
	// SavedMS is how long a known result of a client's action took when it was
	// executed; absent where that is not known, and for other steps.
	SavedMS int64 `json:"saved_ms,omitempty"`
	// Done and Steps are the progress of the build with this step.
	Done  int `json:"done"`
	Steps int `json:"steps"`
	// ExpectedMS is how long it was expected to run there; absent when that was
	// not known, or it was not run.
	ExpectedMS int64 `json:"expected_ms,omitempty"`
	// ETAMS is how long the rest is expected to take, by the critical path and
	// by how fast the build went so far; absent when that is not known.
	ETAMS int64 `json:"eta_ms,omitempty"`
	// Choice is absent where there was none, or it was not run.
	Choice *Choice `json:"choice,omitempty"`
	// Here are the reasons why this machine executed it; absent when another did.
	Here []string `json:"here,omitempty"`
	// Why is why it was to run at all, in the words of what has the graph; absent
	// where its action alone decides that.
	Why string `json:"why,omitempty"`
	// Key is what its action is made of, where it is a command of an invocation.
	Key *Key `json:"key,omitempty"`
	// Asked is how a client of the Remote Execution API asked for it.
	Asked *Asked `json:"asked,omitempty"`

	Failure *Failure `json:"failure,omitempty"`
}

// Key is what an action is made of: whatever differs between two of them is in
// messages that this node's store has as long as there is room.
type Key struct {
	// Command is the digest of the REAPI Command: arguments, variables, outputs,
	// platform with toolchain. Inputs is that of the root Directory.
	Command string `json:"command"`
	Inputs  string `json:"inputs"`
}

// Asked is a step in the words of the client of the Remote Execution API that asked
// for it.
type Asked struct {
	// Action is the digest that the client gave, in its own function.
	Action   string `json:"action"`
	Mnemonic string `json:"mnemonic,omitempty"`
	Target   string `json:"target,omitempty"`
	// Toolchain is the digest of the programs that it ran; absent where they are
	// inputs, and where the result was known.
	Toolchain string `json:"toolchain,omitempty"`
}

// Failure is why a step failed, and all that it printed.
type Failure struct {
	Command  []string `json:"command"`
	Dir      string   `json:"dir"`
	ExitCode int      `json:"exit_code"`
	Message  string   `json:"message,omitempty"`
	Output   string   `json:"output"`
}

// StepOutput carries what a successful step printed, such as warnings.
type StepOutput struct {
	Build  string `json:"build"`
	Step   string `json:"step"`
	Output string `json:"output"`
}

// Level ranks a Notice.
type Level string

// The levels of a Notice.
const (
	Info    Level = "info"
	Warning Level = "warning"
)

// Notice is one line for the user: a source that changed during the build, a
// worker that was lost, why something ran here.
type Notice struct {
	Build string `json:"build"`
	Level Level  `json:"level"`
	Text  string `json:"text"`
}

// HookStarted says that a package's hook runs.
type HookStarted struct {
	Build   string `json:"build"`
	Package string `json:"package"`
	Hook    string `json:"hook"` // pre_build or post_build
}

// HookFinished carries what the hook printed. ExitCode is not 0 if it failed.
type HookFinished struct {
	Build    string `json:"build"`
	Package  string `json:"package"`
	Hook     string `json:"hook"`
	ExitCode int    `json:"exit_code"`
	Output   string `json:"output"`
}

// Tier is how much work a build was.
type Tier string

// The tiers, cheapest first.
const (
	InstantSkip Tier = "instant-skip" // nothing changed since the last success
	Restore     Tier = "restore"      // every result was known
	Incremental Tier = "incremental"  // some steps were executed
	Full        Tier = "full"         // every step was executed
)

// BuildFinished is the last event of a build.
// Executed + CachedLocal + CachedMesh + Skipped + Failed + NotRun = Steps.
type BuildFinished struct {
	Build string `json:"build"`
	OK    bool   `json:"ok"`
	// Cancelled says that the user, or the end of the CLI, stopped the build.
	Cancelled   bool           `json:"cancelled,omitempty"`
	Error       string         `json:"error,omitempty"`
	Tier        Tier           `json:"tier"`
	Steps       int            `json:"steps"`
	Executed    int            `json:"executed"`
	CachedLocal int            `json:"cached_local"`
	CachedMesh  int            `json:"cached_mesh"`
	Skipped     int            `json:"skipped"`
	Failed      int            `json:"failed"`
	NotRun      int            `json:"not_run"`
	RunLocal    int            `json:"run_local"`
	RunRemote   int            `json:"run_remote"`
	ByPeer      map[string]int `json:"by_peer"`
	Leader      string         `json:"leader"`
	Epoch       uint64         `json:"epoch"`
	WallMS      float64        `json:"wall_ms"`
	// BytesIn and BytesOut are what this node fetched from and served to peers.
	BytesIn  int64 `json:"bytes_in"`
	BytesOut int64 `json:"bytes_out"`
	// SavedMS is the run time of the results that did not have to be executed.
	SavedMS int64 `json:"saved_ms"`
	// Forecast is how good the expectations of the time were; absent when there
	// were none, or the build did not come to its end.
	Forecast *Forecast `json:"forecast,omitempty"`
	// Choices are absent where no other machine could have run anything, and where
	// the build did not come to its end.
	Choices *Choices `json:"choices,omitempty"`
	// Policy is how the build used the mesh; absent where nothing had changed, and
	// where another node than its initiator ended it.
	Policy *Policy `json:"policy,omitempty"`
	// LocalReasons says how many steps ran here, and why.
	LocalReasons map[string]int `json:"local_reasons,omitempty"`
	// Uncached names the steps whose results nobody may reuse (sandbox: none).
	Uncached []string `json:"uncached,omitempty"`
	// Differs names the steps that --force executed with another result than before.
	Differs []string `json:"differs,omitempty"`
	// Foreign names files in output directories that no build made.
	Foreign []string `json:"foreign,omitempty"`
}

// Forecast is what was expected of the time of a build against what came: when
// it was planned, and when half of the expected time was over by the work done.
type Forecast struct {
	First Expected  `json:"first"`
	Half  *Expected `json:"half,omitempty"`
}

// Expected says that at AtMS after the build's start the rest was expected to
// take ETAMS, and that it took TookMS.
type Expected struct {
	AtMS   int64 `json:"at_ms"`
	ETAMS  int64 `json:"eta_ms"`
	TookMS int64 `json:"took_ms"`
}

// Kind implements Event.
func (BuildQueued) Kind() string { return "build.queued" }

// Kind implements Event.
func (BuildStarted) Kind() string { return "build.started" }

// Kind implements Event.
func (LeaderElected) Kind() string { return "leader.elected" }

// Kind implements Event.
func (BuildExpected) Kind() string { return "build.expected" }

// Kind implements Event.
func (StepStarted) Kind() string { return "step.started" }

// Kind implements Event.
func (StepFinished) Kind() string { return "step.finished" }

// Kind implements Event.
func (StepOutput) Kind() string { return "step.output" }

// Kind implements Event.
func (Notice) Kind() string { return "notice" }

// Kind implements Event.
func (HookStarted) Kind() string { return "hook.started" }

// Kind implements Event.
func (HookFinished) Kind() string { return "hook.finished" }

// Kind implements Event.
func (BuildFinished) Kind() string { return "build.finished" }

// Encode writes e as one JSON object with its kind first, without a newline.
func Encode(e Event) ([]byte, error) {
	body, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", e.Kind(), err)
	}
	head := `{"event":"` + e.Kind() + `"`
	if len(body) > len("{}") {
		head += ","
	}
	return append([]byte(head), body[1:]...), nil
}

// Decode reads what Encode wrote.
func Decode(line []byte) (Event, error) {
	var head struct {
		Event string `json:"event"`
	}
	if err := json.Unmarshal(line, &head); err != nil {
		return nil, fmt.Errorf("decode event: %w", err)
	}
	switch head.Event {
	case BuildQueued{}.Kind():
		return decode[BuildQueued](line)
	case BuildStarted{}.Kind():
		return decode[BuildStarted](line)
	case LeaderElected{}.Kind():
		return decode[LeaderElected](line)
	case BuildExpected{}.Kind():
		return decode[BuildExpected](line)
	case StepStarted{}.Kind():
		return decode[StepStarted](line)
	case StepFinished{}.Kind():
		return decode[StepFinished](line)
	case StepOutput{}.Kind():
		return decode[StepOutput](line)
	case Notice{}.Kind():
		return decode[Notice](line)
	case BuildWeakened{}.Kind():
		return decode[BuildWeakened](line)
	case HookStarted{}.Kind():
		return decode[HookStarted](line)
	case HookFinished{}.Kind():
		return decode[HookFinished](line)
	case BuildFinished{}.Kind():
		return decode[BuildFinished](line)
	}
	e, err := decodePassing(head.Event, line)
	if e == nil && err == nil {
		err = fmt.Errorf("decode event: unknown kind %q", head.Event)
	}
	return e, err
}

func decode[E Event](line []byte) (Event, error) {
	var e E
	if err := json.Unmarshal(line, &e); err != nil {
		return nil, fmt.Errorf("decode %s: %w", e.Kind(), err)
	}
	return e, nil
}
