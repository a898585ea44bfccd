// Package api is the node's HTTP API: everything on the socket node.sock in its
// home, which the CLI speaks, and GET /health and /status on a TCP port. It
// declares what it needs of a node and does no more than translate. Start
// reading at Node.
package api

import (
	"context"
	"encoding/json"
	"io"
	"time"

	"github.com/buildnet/buildnet/node/event"
)

// Node is what the API offers to its clients. All methods may be called
// concurrently. An error that is, or wraps, an *Error is told to the client
// with its kind and hint; any other is Internal.
type Node interface {
	Profiling
	Invocations

	Status(ctx context.Context) (Status, error)
	// Members returns everybody known in the mesh, this node included, by peer.
	Members(ctx context.Context) ([]Member, error)

	Invite(ctx context.Context, r InviteRequest) (Invitation, error)
	// Leave tells the mesh, and forgets its secret; the node goes on alone.
	Leave(ctx context.Context) (Left, error)
	// Revoke shuts a peer out. The peer may be given by the end of its ID, or
	// by its name where only one member has it.
	Revoke(ctx context.Context, r RevokeRequest) (Revoked, error)
	// Down asks the node to drain and end, and returns at once.
	Down(ctx context.Context) error
	Lending
	Dead

	// Build runs a build and calls emit with its events, in order, one call at
	// a time, and never after it returned. When it returns nil, the last event
	// was event.BuildFinished, whether or not the build succeeded. An error says
	// that there was no build, such as for faults of the configuration (Invalid).
	// ctx ends when the user interrupts or the client dies: Build then ends every
	// action, emits BuildFinished, and returns within 2 s.
	Build(ctx context.Context, r BuildRequest, emit func(event.Event)) error
	// Builds returns the newest records without their events; all if limit is 0.
	Builds(ctx context.Context, limit int) ([]BuildRecord, error)
	// ShowBuild returns one record with its events; id may be the beginning of
	// an ID.
	ShowBuild(ctx context.Context, id string) (BuildRecord, error)
	// Recording returns what a simulator needs to replay a build; id is as for
	// ShowBuild. A build that was not recorded is a Conflict that says why.
	Recording(ctx context.Context, id string) (event.Recording, error)

	// Explain says why a step of a build was run, and where; build is as for
	// ShowBuild. A step of which the build told nothing is NotFound.
	Explain(ctx context.Context, build, step string) (event.Explanation, error)

	CacheStats(ctx context.Context) (CacheStats, error)
	VerifyCache(ctx context.Context) (CacheVerified, error)
	ClearCache(ctx context.Context) (CacheCleared, error)
}

// Status is how a node is. The TCP port serves it too: it holds no secret.
type Status struct {
	State   State  `json:"state"`
	Version string `json:"version"`
	Peer    string `json:"peer"`
	Name    string `json:"name"` // host name
	PID     int    `json:"pid"`
	Home    string `json:"home"`
	// Ephemeral nodes are those that a build started for itself.
	Ephemeral bool    `json:"ephemeral,omitempty"`
	UptimeS   float64 `json:"uptime_s"`

	Listen string `json:"listen"` // UDP of the mesh
	API    string `json:"api"`    // TCP of HTTP, empty when there is none
	REAPI  string `json:"reapi"`  // TCP of the Remote Execution API, empty when there is none
	Mesh   string `json:"mesh"`
	// Observed are this node's addresses as members saw them.
	Observed []string `json:"observed"`
	Members  int      `json:"members"` // alive, this node included
	// Note says what is wrong, such as that no member answered, or that files of
	// programs do not.
	Note string `json:"note,omitempty"`

	OS    string  `json:"os"`
	Arch  string  `json:"arch"`
	Slots int     `json:"slots"`
	Cores float64 `json:"cores"`
	BPU   float64 `json:"bpu"` // of one core

	// Isolation is full, reduced or none; IsolationMissing says what is missing
	// and why.
	Isolation        string   `json:"isolation"`
	IsolationMissing string   `json:"isolation_missing,omitempty"`
	Toolchains       []string `json:"toolchains"`

	// Lent is what others may use of this machine.
	Lent Lent `json:"lent"`

	Builds  int        `json:"builds"`  // running, as their initiator
	Actions int        `json:"actions"` // running, for any build
	Cache   CacheStats `json:"cache"`
	// Counters are other figures, such as dropped packets, by name.
	Counters map[string]int64 `json:"counters,omitempty"`
}

// Health is what GET /health answers, in next to no time.
type Health struct {
	State  State `json:"state"`
	Builds int   `json:"builds"` // running, as their initiator
}

// State is what a node is doing.
//
//	Ready -> Draining
type State string

// The states of a node that answers.
const (
	Ready    State = "ready"
	Draining State = "draining"
)

// Member is one line of `node ls`. Its field names are a contract.
type Member struct {
	Peer  string  `json:"peer"`
	Name  string  `json:"name"`
	Addr  string  `json:"addr"`
	State string  `json:"state"` // alive, suspect, failed, left
	Self  bool    `json:"self"`
	BPU   float64 `json:"bpu"`
	Cores float64 `json:"cores"`
	OS    string  `json:"os"`
	Arch  string  `json:"arch"`
	// RTTMS is 0 for the node itself, and for a member not measured yet.
	RTTMS   float64 `json:"rtt_ms"`
	Version string  `json:"version"`
}

// Reach says where an invitation works.
type Reach string

// The reaches of an invitation.
const (
	Everywhere Reach = "everywhere" // the token holds addresses of members
	LAN        Reach = "lan"        // the newcomer finds members by mDNS
)

// InviteRequest asks for a token.
type InviteRequest struct {
	Reach Reach `json:"reach"`
}

// Invitation is a token with which a node joins the mesh. It is a secret.
type Invitation struct {
	Token string `json:"token"`
	Mesh  string `json:"mesh"`
	// Addresses are those that the token holds.
	Addresses []string `json:"addresses"`
}

// Left is the mesh that the node was in.
type Left struct {
	Mesh string `json:"mesh"`
}

// RevokeRequest names the peer to shut out.
type RevokeRequest struct {
	Peer string `json:"peer"`
}

// Revoked is the peer that was shut out.
type Revoked struct {
	Peer string `json:"peer"`
	Name string `json:"name"`
}

// UnknownUID is the UID of a caller whom the system does not name.
const UnknownUID = -1

// Newest as BuildRequest.Resume is the newest unfinished build.
const Newest = "newest"

// BuildRequest asks for a build.
type BuildRequest struct {
	// Dir is the absolute path of the project: the directory with .buildnet. It may be
	// "" for an invocation of a client that is attached to.
	Dir string `json:"dir"`
	// Targets are packages, steps and output paths; none is everything.
	Targets []string `json:"targets"`
	// Force executes every step again.
	Force bool `json:"force"`
	// Local asks no peer for bytes or work.
	Local bool `json:"local"`
	// KeepGoing goes on with what does not need a step that failed.
	KeepGoing bool `json:"keep_going"`
	// Jobs bounds the steps that run at once, anywhere; 0 is no bound.
	Jobs int `json:"jobs"`
	// Profile names a profile, Strategy and Partition change it; empty says
	// nothing.
	Profile   string `json:"profile,omitempty"`
	Strategy  string `json:"strategy,omitempty"`
	Partition string `json:"partition,omitempty"`
	// Env is the user's environment, for pass_env and hooks.
	Env map[string]string `json:"env"`
	// Attach follows the build of that ID instead, wherever in the mesh it runs,
	// and brings its outputs to Dir.
	Attach string `json:"attach,omitempty"`
	// Resume goes on with an unfinished build of Dir instead: the newest for
	// Newest, else the one whose ID it is, or the beginning of it.
	Resume string `json:"resume,omitempty"`
	// TreeID names a tree that the client serves, see Client.OfferTree.
	TreeID string `json:"tree,omitempty"`

	// UID is the caller's, by the socket; UnknownUID where the system does not
	// say.
	UID int `json:"-"`
	// Tree carries the file operations of a caller who is another user than the
	// node: the CLI does them with its own rights. It is nil for the node's own
	// user, and closed by the API when Build has returned.
	Tree io.ReadWriteCloser `json:"-"`
}

// BuildRecord is a build that was.
type BuildRecord struct {
	Build   string    `json:"build"`
	Started time.Time `json:"started"`
	Root    string    `json:"root"`
	// Client is the program whose invocation it is, of the Remote Execution API; absent
	// for other builds.
	Client string `json:"client,omitempty"`
	// Running says that it goes on, and that this is what there is so far.
	Running bool `json:"running,omitempty"`
	// Summary is the build's event.BuildFinished.
	Summary json.RawMessage `json:"summary"`
	// Events are all its events; ShowBuild alone gives them.
	Events []json.RawMessage `json:"events,omitempty"`
}

// CacheStats is what the node's store holds.
type CacheStats struct {
	Blobs    int   `json:"blobs"`
	Bytes    int64 `json:"bytes"`
	MaxBytes int64 `json:"max_bytes"`
	Actions  int   `json:"actions"` // results
	Leased   int   `json:"leased"`  // blobs that running builds need
	// Promised are bytes that clients and other members were told will stay for a
	// while.
	Promised int64 `json:"promised_bytes"`
	Hits     int64 `json:"hits"`
	Misses   int64 `json:"misses"`
	Evicted  int64 `json:"evicted"`
	Aged     int64 `json:"aged"`
	Corrupt  int64 `json:"corrupt"`
}

// CacheVerified is what a verification found.
type CacheVerified struct {
	Blobs   int      `json:"blobs"`
	Bytes   int64    `json:"bytes"`
	Corrupt []string `json:"corrupt"` // digests; dropped
}

// CacheCleared is what a clearing freed.
type CacheCleared struct {
	Bytes   int64 `json:"bytes"`
	Actions int   `json:"actions"`
}
