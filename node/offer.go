package node

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/buildnet/buildnet/mesh"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/build"
	"github.com/buildnet/buildnet/node/config"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/node/explain"
	"github.com/buildnet/buildnet/node/worktree"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/history"
)

// offer is the node as its API sees it: it is the api.Node.
type offer struct {
	node  *Node
	parts *parts
	since time.Time
	// stop ends the node's life in its present mesh.
	stop context.CancelFunc

	builds   atomic.Int64
	draining atomic.Bool
	left     atomic.Bool
}

var _ api.Node = (*offer)(nil)

// Status implements api.Node.
func (o *offer) Status(context.Context) (api.Status, error) {
	info, p := o.node.Info(), o.parts
	level, missing := p.exec.Isolation()
	s := api.Status{
		State: api.Ready, Version: config.Version(), Peer: string(info.Peer), Name: info.Name, PID: os.Getpid(),
		Home: o.node.cfg.Home, Ephemeral: o.node.cfg.Ephemeral, UptimeS: time.Since(o.since).Seconds(),
		Listen: info.Listen.String(), API: info.API, REAPI: info.REAPI, Mesh: info.Mesh, Observed: []string{}, Note: p.note(),
		OS: runtime.GOOS, Arch: runtime.GOARCH, Slots: info.Slots, Cores: p.cores, BPU: p.bpu(),
		Isolation: level.String(), IsolationMissing: missing, Toolchains: p.known.list(),
		Builds: int(o.builds.Load()), Actions: p.runner.running(), Cache: o.cacheStats(), Counters: p.counters(),
		Lent: p.owner.lent(),
	}
	if o.draining.Load() {
		s.State = api.Draining
	}
	if at := p.mesh.Observed(); at.IsValid() {
		s.Observed = append(s.Observed, at.String())
	}
	for _, m := range p.mesh.Members() {
		if m.State == peer.Alive {
			s.Members++
		}
	}
	return s, nil
}

// Members implements api.Node.
func (o *offer) Members(context.Context) ([]api.Member, error) {
	members := []api.Member{}
	for _, m := range o.parts.mesh.Members() {
		members = append(members, api.Member{
			Peer: string(m.ID), Name: m.Name, Addr: m.Addr.String(), State: m.State.String(), Self: m.Self,
			BPU: round(m.Caps.BPU), Cores: m.Caps.Cores, OS: m.Caps.OS, Arch: m.Caps.Arch,
			RTTMS: round(float64(m.RTT) / float64(time.Millisecond)), Version: m.Caps.Version,
		})
	}
	return members, nil
}

// round keeps three decimals, for people.
func round(x float64) float64 { return math.Round(x*1000) / 1000 }

// Invite implements api.Node.
func (o *offer) Invite(_ context.Context, r api.InviteRequest) (api.Invitation, error) {
	token, err := o.parts.mesh.Invite(r.Reach == api.LAN)
	if err != nil {
		return api.Invitation{}, err
	}
	inv := api.Invitation{Token: token, Mesh: o.node.Info().Mesh, Addresses: []string{}}
	if r.Reach != api.LAN {
		for _, m := range o.parts.mesh.Members() {
			if m.State == peer.Alive {
				inv.Addresses = append(inv.Addresses, m.Addr.String())
			}
		}
	}
	return inv, nil
}

// Leave implements api.Node: the answer goes out while the node stops, and
// holds even if the node is killed before it has.
func (o *offer) Leave(context.Context) (api.Left, error) {
	if err := mesh.ForgetCredentials(o.node.cfg.Home); err != nil {
		return api.Left{}, err
	}
	o.left.Store(true)
	o.stop()
	return api.Left{Mesh: o.node.Info().Mesh}, nil
}

// Down implements api.Node.
func (o *offer) Down(context.Context) error {
	o.draining.Store(true)
	o.node.Stop()
	return nil
}

// Revoke implements api.Node.
func (o *offer) Revoke(ctx context.Context, r api.RevokeRequest) (api.Revoked, error) {
	m, err := find(o.parts.mesh.Members(), r.Peer)
	if err != nil {
		return api.Revoked{}, err
	}
	if err := o.parts.mesh.Revoke(ctx, m.ID); err != nil {
		return api.Revoked{}, err
	}
	return api.Revoked{Peer: string(m.ID), Name: m.Name}, nil
}

// find returns the member that a user means.
func find(members []peer.Member, name string) (peer.Member, error) {
	var found []peer.Member
	for _, m := range members {
		if m.Self {
			continue
		}
		if string(m.ID) == name || m.Name == name || len(name) >= 6 && strings.HasSuffix(string(m.ID), name) {
			found = append(found, m)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return peer.Member{}, &api.Error{Kind: api.NotFound, Message: fmt.Sprintf("no other member is called %q", name), Hint: "see `buildnet node ls`"}
	default:
		return peer.Member{}, &api.Error{Kind: api.Conflict, Message: fmt.Sprintf("%d members are called %q", len(found), name), Hint: "give the whole peer ID"}
	}
}

// Build implements api.Node.
func (o *offer) Build(ctx context.Context, r api.BuildRequest, emit func(event.Event)) error {
	if id, runs := o.parts.clients.Running(r.Attach); runs {
		return o.parts.clients.Follow(ctx, id, emit)
	}
	if r.Dir == "" {
		return &api.Error{Kind: api.Invalid, Message: "no place for the outputs of build " + r.Attach, Hint: "name a directory with --output-dir"}
	}
	files, err := o.files(ctx, r)
	if err != nil {
		return err
	}
	root := r.Dir
	if files != nil {
		defer func() { _ = files.Close() }()
		root = files.Root()
	}
	wish, err := wishOf(r)
	if err != nil {
		return err
	}
	if o.draining.Load() {
		return errStopping()
	}
	o.builds.Add(1)
	defer o.builds.Add(-1)
	last := false
	tell := func(e event.Event) {
		_, last = e.(event.BuildFinished)
		emit(e)
	}
	if r.Attach != "" {
		if err := o.attachable(r.Attach); err != nil {
			return err
		}
		err = o.parts.builder.Attach(ctx, build.Attachment{Build: r.Attach, Root: root, Files: files}, tell)
		return o.told(err, last)
	}
	request := build.Request{
		ID: newBuildID(), Root: root, Targets: r.Targets, Env: r.Env, Files: files, Wish: wish, Again: again(r), User: userOf(r.UID),
		Modes: steal.Modes{Force: r.Force, KeepGoing: r.KeepGoing, Local: r.Local, Jobs: r.Jobs},
	}
	switch r.Resume {
	case "":
		err = o.parts.builder.Build(ctx, request, tell)
	case api.Newest:
		err = o.parts.builder.Resume(ctx, request, "", tell)
	default:
		err = o.parts.builder.Resume(ctx, request, r.Resume, tell)
	}
	return o.told(err, last)
}

// told is what a client is told of the end of a build, beside its events.
func (o *offer) told(err error, last bool) error {
	switch {
	case errors.Is(err, build.ErrNoBuild):
		return &api.Error{
			Kind: api.NotFound, Message: err.Error(),
			Hint: "where it was begun, `buildnet build` uses what it had finished; builds of ninja, of make and the like are never followed",
		}
	case errors.Is(err, build.ErrAmbiguous):
		return api.Errorf(api.Conflict, "%v", err)
	case errors.Is(err, build.ErrNothingToResume):
		return &api.Error{Kind: api.NotFound, Message: err.Error(), Hint: "`buildnet build` uses what had finished"}
	case last:
		return nil // the summary says how it ended
	case errors.Is(err, build.ErrRequest), errors.Is(err, build.ErrPlace):
		return &api.Error{Kind: api.Invalid, Message: err.Error()}
	default:
		return err
	}
}

// files gives a caller who is another user than the node a tree that the
// caller's own process works on.
func (o *offer) files(ctx context.Context, r api.BuildRequest) (worktree.Files, error) {
	if r.UID == api.UnknownUID || r.UID == os.Geteuid() {
		return nil, nil
	}
	if r.Tree == nil {
		return nil, api.Errorf(api.Forbidden, "the node belongs to another user and touches no file of yours: the client has to offer its tree")
	}
	return worktree.Dial(ctx, r.Tree)
}

func newBuildID() steal.BuildID {
	var raw [6]byte
	_, _ = rand.Read(raw[:]) // never fails since Go 1.24
	return steal.BuildID(hex.EncodeToString(raw[:]))
}

// Builds implements api.Node.
func (o *offer) Builds(_ context.Context, limit int) ([]api.BuildRecord, error) {
	records, err := o.parts.chronicle().List(limit)
	if err != nil {
		return nil, err
	}
	out := make([]api.BuildRecord, len(records))
	for i, r := range records {
		out[i] = recordOf(r)
	}
	return out, nil
}

// ShowBuild implements api.Node.
func (o *offer) ShowBuild(_ context.Context, id string) (api.BuildRecord, error) {
	r, err := o.parts.chronicle().Get(id)
	if err != nil {
		return api.BuildRecord{}, noBuild(id, err)
	}
	out := recordOf(r)
	for line := range bytes.Lines(r.Events) {
		out.Events = append(out.Events, json.RawMessage(bytes.TrimSpace(line)))
	}
	return out, nil
}

// noBuild says what an error of the history about a build's ID is to its user.
func noBuild(id string, err error) error {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return &api.Error{Kind: api.NotFound, Message: fmt.Sprintf("no build begins with %q", id), Hint: "see `buildnet builds`"}
	case errors.Is(err, history.ErrAmbiguous):
		return &api.Error{Kind: api.Conflict, Message: fmt.Sprintf("more than one build begins with %q", id), Hint: "give more of its ID"}
	default:
		return err
	}
}

// Recording implements api.Node.
func (o *offer) Recording(_ context.Context, id string) (event.Recording, error) {
	r, err := o.parts.chronicle().Recording(id)
	var rec event.Recording
	switch {
	case errors.Is(err, history.ErrNoRecording):
		return rec, o.unrecorded(r, rec)
	case err != nil:
		return rec, noBuild(id, err)
	}
	if err := json.Unmarshal(r.Recording, &rec); err != nil {
		return rec, fmt.Errorf("recording of build %s: %w", r.ID, err)
	}
	if rec.TooLarge {
		return rec, o.unrecorded(r, rec)
	}
	return rec, nil
}

// Explain implements api.Node.
func (o *offer) Explain(ctx context.Context, id, step string) (event.Explanation, error) {
	blobs := o.parts.named() // what actions of clients are made of has their names
	read := func(ctx context.Context, d digest.Digest) ([]byte, error) {
		return store.ReadAll(ctx, blobs, d, maxMessage)
	}
	x, err := explain.Step(ctx, o.parts.chronicle(), read, id, step)
	if errors.Is(err, explain.ErrNoStep) {
		return x, &api.Error{Kind: api.NotFound, Message: err.Error(), Hint: "see `buildnet builds show " + id + "`"}
	}
	if errors.Is(err, explain.ErrSeveralSteps) {
		return x, &api.Error{Kind: api.Conflict, Message: err.Error(), Hint: "name one of them"}
	}
	if err != nil {
		return x, noBuild(id, err)
	}
	return x, nil
}

// unrecorded says why a build cannot be replayed.
func (o *offer) unrecorded(r history.Record, rec event.Recording) error {
	var f event.BuildFinished
	if err := json.Unmarshal(r.Summary, &f); err != nil {
		return fmt.Errorf("summary of build %s: %w", r.ID, err)
	}
	e := &api.Error{Kind: api.Conflict}
	_, client, invoked := o.invoked(r.ID)
	switch {
	case invoked:
		e.Message = fmt.Sprintf("build %s is of %s, which gives its commands one by one and keeps their order to itself: there is no graph to replay", r.ID, client)
		e.Hint = "see `buildnet builds show " + r.ID + "`, or measure it with `buildnet build --trace FILE`"
	case f.Executed+f.Failed == 0:
		e.Message = fmt.Sprintf("build %s executed nothing: there is nothing to replay", r.ID)
		e.Hint = "choose one of `buildnet builds` that executed something, or build with --force"
	case rec.TooLarge:
		e.Message = fmt.Sprintf("build %s of %d steps is too large to replay: at most %d steps and %d MiB are recorded", r.ID, f.Steps, event.MaxRecordedSteps, event.MaxRecordingBytes>>20)
		e.Hint = "build some of its targets alone"
	default:
		e.Message = fmt.Sprintf("build %s was not recorded, or its recording is gone: it was made by an older version, or by too many builds ago", r.ID)
		e.Hint = "build again with --force"
	}
	return e
}

func recordOf(r history.Record) api.BuildRecord {
	return api.BuildRecord{Build: r.ID, Started: r.Started, Root: r.Root, Client: r.Client, Running: r.Running, Summary: r.Summary}
}

// CacheStats implements api.Node.
func (o *offer) CacheStats(context.Context) (api.CacheStats, error) { return o.cacheStats(), nil }

func (o *offer) cacheStats() api.CacheStats {
	s := o.parts.store.Stats()
	return api.CacheStats{
		Blobs: s.Blobs, Bytes: s.Bytes, MaxBytes: s.MaxBytes, Actions: o.parts.actions.Len(), Leased: s.Leased, Promised: s.Kept,
		Hits: s.Hits, Misses: s.Misses, Evicted: s.Evicted, Aged: s.Aged, Corrupt: s.Corrupt,
	}
}

// VerifyCache implements api.Node.
func (o *offer) VerifyCache(ctx context.Context) (api.CacheVerified, error) {
	r, err := o.parts.store.Verify(ctx)
	if err != nil {
		return api.CacheVerified{}, err
	}
	v := api.CacheVerified{Blobs: r.Blobs, Bytes: r.Bytes, Corrupt: []string{}}
	for _, d := range r.Corrupt {
		v.Corrupt = append(v.Corrupt, d.String())
	}
	o.parts.dht.Withdraw(r.Corrupt...)
	return v, nil
}

// ClearCache implements api.Node.
func (o *offer) ClearCache(ctx context.Context) (api.CacheCleared, error) {
	n := o.parts.actions.Len() + o.parts.private.Len() + o.parts.uploads.Len()
	if err := errors.Join(o.parts.actions.Clear(), o.parts.private.Clear(), o.parts.uploads.Clear()); err != nil {
		return api.CacheCleared{}, err
	}
	freed, err := o.parts.store.Clear(ctx)
	return api.CacheCleared{Bytes: freed, Actions: n}, err
}
