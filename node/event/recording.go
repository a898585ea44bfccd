package event

const (
	// MaxRecordedSteps bounds a Recording: five times a large project. Its graph
	// is kept whole or not at all.
	MaxRecordedSteps = 50_000
	// MaxRecordingBytes bounds its JSON, which the names and dependencies of the
	// steps may make longer than their number tells.
	MaxRecordingBytes = 32 << 20
)

// Recording is what a simulator needs of a build that is over: its steps, the
// mesh in which they ran, and how long each part of it took. All offsets are
// since the build began. Field names are a contract: add, never rename.
type Recording struct {
	Build string `json:"build"`
	// TooLarge says that nothing else is kept, for the limits above.
	TooLarge bool `json:"too_large,omitempty"`
	// Peers were alive when the scheduling began, or came into it later. The
	// first one asked for the build. Others are named by their places here.
	Peers []RecordedPeer `json:"peers"`
	// Ways are round trips between two peers, as far as they are known.
	Ways  []RecordedWay `json:"ways"`
	Modes RecordedModes `json:"modes"`
	// Reigns are the leaders, in their order.
	Reigns []Reign `json:"reigns"`
	Marks  Marks   `json:"marks"`
	// Toolchains are short labels of those that steps ask for.
	Toolchains []string `json:"toolchains,omitempty"`
	// Steps are in topological order.
	Steps []RecordedStep `json:"steps"`
}

// RecordedPeer is a member as the initiator saw it.
type RecordedPeer struct {
	Peer  string  `json:"peer"`
	Name  string  `json:"name"`
	BPU   float64 `json:"bpu"` // of one core
	Slots int     `json:"slots"`
	Cores float64 `json:"cores"`
	// RTTUS is the round trip from the initiator, 0 if it is not known.
	RTTUS int64 `json:"rtt_us"`
	// Lacks are the Toolchains, from 1, that the initiator tells the mesh of and
	// this peer does not.
	Lacks []int `json:"lacks,omitempty"`
}

// RecordedWay is the estimated round trip between the peers A and B.
type RecordedWay struct {
	A     int   `json:"a"`
	B     int   `json:"b"`
	RTTUS int64 `json:"rtt_us"`
}

// RecordedModes are the user's wishes for the build.
type RecordedModes struct {
	Force     bool `json:"force,omitempty"`
	KeepGoing bool `json:"keep_going,omitempty"`
	Local     bool `json:"local,omitempty"`
	Jobs      int  `json:"jobs,omitempty"`
	// Policy is absent in what older versions recorded: then it was standard.
	Policy *Policy `json:"policy,omitempty"`
}

// Reign is a leader, from when the initiator followed it.
type Reign struct {
	Leader   int    `json:"leader"`
	Standbys []int  `json:"standbys"`
	Epoch    uint64 `json:"epoch"`
	SinceUS  int64  `json:"since_us"`
}

// Marks are when a build went over to its next part; 0 if it did not.
type Marks struct {
	PlannedUS   int64 `json:"planned_us"`   // the scheduler got it
	ElectedUS   int64 `json:"elected_us"`   // its first leader was followed
	AnnouncedUS int64 `json:"announced_us"` // its last step was announced
	ScheduledUS int64 `json:"scheduled_us"` // the scheduler was done
	PlacedUS    int64 `json:"placed_us"`    // the outputs were in the tree
	TotalUS     int64 `json:"total_us"`
}

// RecordedStep is a step and what came of it. Where no peer executed it in this
// build, Peer is -1 and there are no times.
type RecordedStep struct {
	Name string `json:"name"`
	// Deps are places of earlier steps, ascending.
	Deps []int `json:"deps,omitempty"`
	// InputBytes is the size of its sources, FreshBytes of those that no earlier
	// step reads.
	InputBytes  int64 `json:"input_bytes,omitempty"`
	FreshBytes  int64 `json:"fresh_bytes,omitempty"`
	OutputBytes int64 `json:"output_bytes,omitempty"`
	// Here steps run on the initiator alone.
	Here bool `json:"here,omitempty"`
	// Toolchain is a place in Toolchains, from 1; 0 is none.
	Toolchain int `json:"toolchain,omitempty"`
	// Hint is what the scheduler expected it to cost, in BPU-seconds.
	Hint float64 `json:"hint,omitempty"`

	Status Status `json:"status"`
	Peer   int    `json:"peer"`
	// StartedUS and FinishedUS are when the initiator heard that it began, and
	// when it announced it.
	StartedUS  int64 `json:"started_us,omitempty"`
	FinishedUS int64 `json:"finished_us,omitempty"`
	QueuedUS   int64 `json:"queued_us,omitempty"`
	FetchUS    int64 `json:"fetch_us,omitempty"`
	RunUS      int64 `json:"run_us,omitempty"`
	CPUUS      int64 `json:"cpu_us,omitempty"` // of the run
	UploadUS   int64 `json:"upload_us,omitempty"`
	// SecureUS is how long its outputs took to the initiator's store.
	SecureUS int64 `json:"secure_us,omitempty"`
}
