package sched

import (
	"crypto/ed25519"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	libp2p "github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/place"
	"github.com/buildnet/buildnet/sched/schedpb"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store/digest"
)

// signer is a peer with a key.
type signer struct {
	id  peer.ID
	key ed25519.PrivateKey
}

func newSigner(t testing.TB, seed byte) signer {
	t.Helper()
	key := ed25519.NewKeyFromSeed(append(make([]byte, ed25519.SeedSize-1), seed))
	public, err := crypto.UnmarshalEd25519PublicKey(key.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	id, err := libp2p.IDFromPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return signer{peer.ID(id.String()), key}
}

// entry is one as it comes out of a frame.
func (s signer) entry(t testing.TB, a digest.Digest) action.Entry {
	t.Helper()
	r := action.Result{Isolation: action.Full, Wall: time.Second, Outputs: []action.Output{{
		Path: "x", Kind: action.File, Digest: digest.Of(digest.BLAKE3, []byte("x")),
	}}}
	e, err := action.SignEntry(a, r, s.id, func(b []byte) ([]byte, error) { return ed25519.Sign(s.key, b), nil })
	if err != nil {
		t.Fatal(err)
	}
	b, err := e.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if e, err = action.UnmarshalEntry(b); err != nil {
		t.Fatal(err)
	}
	return e
}

func messages(t testing.TB) []steal.Message {
	p := newSigner(t, 1)
	a := digest.Of(digest.BLAKE3, []byte("a"))
	flat := []action.Step{{
		ID: "f", Package: "p", Argv: []string{"cc", "-c"}, Env: []action.Property{{Name: "A", Value: "b"}}, Dir: "d", Outputs: []string{"o"},
		Inputs: a, Platform: []action.Property{{Name: "OSFamily", Value: "linux"}}, Timeout: time.Hour,
		Reach: action.Anywhere, Sharing: action.Shared, Cost: 1.5, Memory: 2, OutputBytes: 3, Rank: 4.5,
	}, {ID: "g", Argv: []string{"ld"}, Inputs: a, Timeout: 1, Reach: action.InitiatorOnly, Sharing: action.Unshared}}
	e := p.entry(t, a)
	done := steal.Done{
		Entry: e, Peer: p.id, How: steal.Executed, Holders: []peer.ID{p.id}, Differs: true,
		Timings: steal.Timings{Queued: 1, Fetch: 2, Run: 3, Upload: 4},
		Choice:  &steal.Choice{Why: steal.Kept, Peer: p.id, Here: 5, There: 6, By: 7, Came: 8, Regret: 9},
	}
	return []steal.Message{
		steal.Lead{Plan: a},
		steal.Hello{Initiator: p.id, Plan: a, Specs: []steal.Spec{{Spec: "cc:cc", Dirs: "/opt"}}, Have: []byte{5}, Forget: true},
		steal.Append{First: 3, Commit: 2, Ops: []steal.Op{
			{Kind: steal.OpStandbys, Peers: []peer.ID{p.id}}, {Kind: steal.OpDone, Step: 7, Done: &done},
			{Kind: steal.OpFailed, Step: 8, Peer: p.id, Text: "why"}, {Kind: steal.OpAdded, Step: 9, Steps: flat}, {Kind: steal.OpShut},
		}},
		steal.Beat{Commit: 9}, steal.Beat{Commit: 9, Calm: true},
		steal.Hello{Initiator: p.id, Plan: a, Steps: 7, Open: true}, steal.Add{First: 7, Steps: flat}, steal.Drop{Step: 8}, steal.Shut{},
		steal.Ask{Specs: []steal.Spec{{Spec: "cc:cc", Dirs: "/opt"}}}, steal.Tools{Toolchains: []string{"", "t"}},
		steal.Assign{Step: 1, Name: "n", Action: a, Holders: []peer.ID{p.id}, Messages: [][]byte{[]byte("a"), {}}},
		steal.Revoke{Step: 2}, steal.Recall{Step: 5}, steal.Confirm{Step: 3, Action: a}, steal.End{Reason: steal.Cancelled},
		steal.Join{
			Slots: 3, OS: "linux", Arch: "amd64", BPU: 1.5, Memory: 1 << 40, Toolchains: []string{"", "t"},
			Running: []steal.Running{{Step: 4, Action: a, Started: true}}, Absolute: true, Optional: true,
		},
		steal.Want{Seen: 4, Free: 5}, steal.Resize{Slots: 2}, steal.Started{Step: 6},
		steal.Report{Step: 7, Action: a, Entry: &e, Timings: done.Timings},
		steal.Report{Step: 7, Action: a, Failure: steal.Failure{Kind: steal.NoSpace, Text: "full"}},
		steal.Report{Step: 7, Action: a, Failure: steal.Failure{Kind: steal.Unable, Text: "not there"}},
		steal.Return{Step: 8}, steal.Return{Step: 8, Taken: true}, steal.Ack{Index: 10}, steal.Known{Step: 9, Done: done, Secured: true},
		steal.Known{Step: 9, Failed: "why"}, steal.Follow{},
		steal.Decline{Text: "why"}, steal.Occupied{Build: "b", Initiator: p.id},
		steal.Toll{Step: 9, Began: []peer.ID{p.id}, Fallen: []peer.ID{p.id, p.id}},
		steal.Secured{Step: 1, Action: a}, steal.Unsecured{Step: 2, Action: a, Text: "gone"}, steal.Cancel{},
		steal.Refuse{Epoch: steal.Epoch{Number: 4, Leader: p.id}},
		steal.Progress{Step: 3, Percent: 42},
		steal.Status{Slots: 4, Busy: 2, Waiting: 1, Running: []steal.Step{3, 9}, Memory: 1 << 30, Share: 0.5},
		steal.Tidings{
			Placements: []steal.Placement{{Step: 1, Peer: p.id}}, Advances: []steal.Advance{{Step: 3, Peer: p.id, Percent: 42}},
			Statuses: []steal.PeerStatus{{Peer: p.id, Status: steal.Status{Slots: 4, Share: 1}}},
		},
	}
}

func TestEveryMessageReadsBackAsItWasWritten(t *testing.T) {
	epoch := steal.Epoch{Number: 3, Leader: newSigner(t, 2).id}
	for _, msg := range messages(t) {
		m, err := encode(envelope{"b", epoch, msg})
		if err != nil {
			t.Fatal(err)
		}
		wire, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		var back schedpb.Envelope
		if err := proto.Unmarshal(wire, &back); err != nil {
			t.Fatal(err)
		}
		got, err := newDecoder().decode(&back)
		if err != nil {
			t.Errorf("%T: %v", msg, err)
			continue
		}
		if got.build != "b" || got.epoch != epoch || !reflect.DeepEqual(got.msg, msg) {
			t.Errorf("read %+v, want %+v", got.msg, msg)
		}
	}
}

func TestTextsAreMadeToFit(t *testing.T) {
	long := strings.Repeat("ä", maxText)
	m, err := encode(envelope{"b", steal.Epoch{Number: 1, Leader: newSigner(t, 1).id}, steal.Unsecured{
		Action: digest.Of(digest.BLAKE3, nil), Text: "\xff" + long,
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := proto.Marshal(m); err != nil {
		t.Errorf("a frame does not carry it: %v", err)
	}
}

func TestWhatNoMachineWouldSayIsRefused(t *testing.T) {
	id := string(newSigner(t, 1).id)
	good := func() *schedpb.Envelope {
		return &schedpb.Envelope{Build: "b", Epoch: &schedpb.Epoch{Number: 1, Leader: id}, Body: &schedpb.Envelope_Follow{Follow: &schedpb.Follow{}}}
	}
	if _, err := newDecoder().decode(good()); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*schedpb.Envelope){
		"NoBuild":   func(m *schedpb.Envelope) { m.Build = "" },
		"LongBuild": func(m *schedpb.Envelope) { m.Build = strings.Repeat("b", maxName+1) },
		"NoEpoch":   func(m *schedpb.Envelope) { m.Epoch = nil },
		"EpochZero": func(m *schedpb.Envelope) { m.Epoch.Number = 0 },
		"LastEpoch": func(m *schedpb.Envelope) { m.Epoch.Number = 1<<64 - 1 },
		"NoPeer":    func(m *schedpb.Envelope) { m.Epoch.Leader = "x" },
		"NoBody":    func(m *schedpb.Envelope) { m.Body = nil },
		"EmptyBody": func(m *schedpb.Envelope) { m.Body = &schedpb.Envelope_Hello{} },
		"NoPlan":    func(m *schedpb.Envelope) { m.Body = &schedpb.Envelope_Lead{Lead: &schedpb.Lead{}} },
		"StepTooHigh": func(m *schedpb.Envelope) {
			m.Body = &schedpb.Envelope_Started{Started: &schedpb.Started{Step: action.MaxSteps}}
		},
		"OccupiedByNoBuild": func(m *schedpb.Envelope) {
			m.Body = &schedpb.Envelope_Occupied{Occupied: &schedpb.Occupied{Initiator: id}}
		},
		"OccupiedByALongBuild": func(m *schedpb.Envelope) {
			m.Body = &schedpb.Envelope_Occupied{Occupied: &schedpb.Occupied{Build: strings.Repeat("b", maxName+1), Initiator: id}}
		},
		"OccupiedByNobody": func(m *schedpb.Envelope) {
			m.Body = &schedpb.Envelope_Occupied{Occupied: &schedpb.Occupied{Build: "b"}}
		},
		"HelloWithTooManySteps": func(m *schedpb.Envelope) {
			a := digest.Of(digest.BLAKE3, nil).Binary()
			m.Body = &schedpb.Envelope_Hello{Hello: &schedpb.Hello{Initiator: id, Plan: a, Steps: action.MaxSteps + 1}}
		},
		"AddBeyondTheSteps": func(m *schedpb.Envelope) {
			m.Body = &schedpb.Envelope_Add{Add: &schedpb.Add{First: action.MaxSteps}}
		},
		"AddOfNoSteps": func(m *schedpb.Envelope) {
			m.Body = &schedpb.Envelope_Add{Add: &schedpb.Add{Steps: []byte{1}}}
		},
		"AddOfWhatIsNotFlat": func(m *schedpb.Envelope) {
			m.Body = &schedpb.Envelope_Add{Add: &schedpb.Add{Steps: notFlat(t)}}
		},
		"LogOfWhatIsNotFlat": func(m *schedpb.Envelope) {
			m.Body = &schedpb.Envelope_Append{Append: &schedpb.Append{Ops: []*schedpb.Op{{Kind: uint32(steal.OpAdded), Steps: notFlat(t)}}}}
		},
		"AskForTooMany": func(m *schedpb.Envelope) {
			m.Body = &schedpb.Envelope_Ask{Ask: &schedpb.Ask{Specs: make([]*schedpb.Spec, steal.MaxSpecs+1)}}
		},
		"AskForTooMuch": func(m *schedpb.Envelope) {
			m.Body = &schedpb.Envelope_Ask{Ask: &schedpb.Ask{Specs: []*schedpb.Spec{{Spec: strings.Repeat("x", maxSpec+1)}}}}
		},
		"TooManyTools": func(m *schedpb.Envelope) {
			m.Body = &schedpb.Envelope_Tools{Tools: &schedpb.Tools{Toolchains: make([]string, steal.MaxSpecs+1)}}
		},
		"LongTool": func(m *schedpb.Envelope) {
			m.Body = &schedpb.Envelope_Tools{Tools: &schedpb.Tools{Toolchains: []string{strings.Repeat("x", maxName+1)}}}
		},
		"NoReason": func(m *schedpb.Envelope) { m.Body = &schedpb.Envelope_End{End: &schedpb.End{}} },
		"BPUOfNaN": func(m *schedpb.Envelope) {
			nan := 0.0
			m.Body = &schedpb.Envelope_Join{Join: &schedpb.Join{Bpu: nan / nan}}
		},
		"TooManyOps": func(m *schedpb.Envelope) {
			ops := make([]*schedpb.Op, maxOps+1)
			m.Body = &schedpb.Envelope_Append{Append: &schedpb.Append{Ops: ops}}
		},
		"TooManyTidings": func(m *schedpb.Envelope) {
			m.Body = &schedpb.Envelope_Tidings{Tidings: &schedpb.Tidings{Placements: make([]*schedpb.Placement, steal.MaxTidings+1)}}
		},
		"TooManyStepsInAStatus": func(m *schedpb.Envelope) {
			m.Body = &schedpb.Envelope_Status{Status: &schedpb.Status{Running: make([]uint32, steal.MaxStatusSteps+1)}}
		},
		"TooMuchWithAnAssignment": func(m *schedpb.Envelope) {
			a := digest.Of(digest.BLAKE3, nil).Binary()
			m.Body = &schedpb.Envelope_Assign{Assign: &schedpb.Assign{Action: a, Messages: [][]byte{make([]byte, maxParcel), {1}}}}
		},
		"TooManyWithAnAssignment": func(m *schedpb.Envelope) {
			a := digest.Of(digest.BLAKE3, nil).Binary()
			m.Body = &schedpb.Envelope_Assign{Assign: &schedpb.Assign{Action: a, Messages: make([][]byte, maxParcelled+1)}}
		},
		"TooManyPeers": func(m *schedpb.Envelope) {
			ops := []*schedpb.Op{{Kind: uint32(steal.OpStandbys), Peers: make([]string, maxPeers+1)}}
			m.Body = &schedpb.Envelope_Append{Append: &schedpb.Append{Ops: ops}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := good()
			spoil(m)
			if got, err := newDecoder().decode(m); err == nil {
				t.Errorf("decode = %+v, want an error", got)
			}
		})
	}
}

// notFlat are steps of which one depends on the other.
func notFlat(t *testing.T) []byte {
	in := digest.Of(digest.BLAKE3, nil)
	step := func(id action.StepID) action.Step {
		return action.Step{ID: id, Argv: []string{"true"}, Inputs: in, Timeout: 1, Reach: action.Anywhere, Sharing: action.Shared}
	}
	b := step("b")
	b.Deps = []action.Dep{{Step: "a"}}
	steps, err := action.MarshalSteps([]action.Step{step("a"), b})
	if err != nil {
		t.Fatal(err)
	}
	return steps
}

func TestEntriesAreOfThoseWhoSignedThem(t *testing.T) {
	one, two := newSigner(t, 1), newSigner(t, 2)
	e := one.entry(t, digest.Of(digest.BLAKE3, []byte("a")))
	forged := e
	forged.Executor = two.id
	for name, tc := range map[string]struct {
		msg  steal.Message
		from peer.ID
		ok   bool
	}{
		"Report":         {steal.Report{Entry: &e}, one.id, true},
		"ReportOfOthers": {steal.Report{Entry: &e}, two.id, false},
		"ForgedReport":   {steal.Report{Entry: &forged}, two.id, false},
		"Known":          {steal.Known{Done: steal.Done{Entry: e}}, two.id, true},
		"ForgedKnown":    {steal.Known{Done: steal.Done{Entry: forged}}, two.id, false},
		"Op":             {steal.Append{Ops: []steal.Op{{Done: &steal.Done{Entry: e}}}}, two.id, true},
		"ForgedOp":       {steal.Append{Ops: []steal.Op{{Done: &steal.Done{Entry: forged}}}}, two.id, false},
	} {
		if err := verify(tc.msg, tc.from); (err == nil) != tc.ok {
			t.Errorf("%s: verify = %v", name, err)
		}
	}
}

func TestPlanReadsBackAsItWasWritten(t *testing.T) {
	p := newSigner(t, 1)
	in := digest.Of(digest.BLAKE3, nil)
	step := func(id action.StepID) action.Step {
		return action.Step{
			ID: id, Argv: []string{"true"}, Inputs: in, Outputs: []string{string(id)}, Timeout: 1,
			Reach: action.Anywhere, Sharing: action.Shared,
		}
	}
	g, err := action.NewGraph([]action.Step{step("a"), step("b"), step("c")})
	if err != nil {
		t.Fatal(err)
	}
	done := steal.Done{Entry: p.entry(t, in), Peer: p.id, How: steal.Found, Holders: []peer.ID{p.id}}
	if err := done.Entry.Verify(); err != nil { // which a reader does
		t.Fatal(err)
	}
	want := &steal.Plan{
		Graph: g, Candidates: []peer.ID{p.id}, Modes: steal.Modes{
			Force: true, KeepGoing: true, Jobs: 3,
			Policy: place.Policy{Strategy: place.Fastest, Partition: place.ByFile, Weights: place.Weights{Performance: 1, Locality: 2, Latency: 3, Availability: 4}}, Exchange: steal.TakeOnly, Copies: steal.MakerKeeps,
		},
		Given: []steal.Given{
			{Step: 0, Result: &action.Result{ExitCode: 0, Isolation: action.Full}, Secured: true},
			{Step: 2, Result: &done.Entry.Result, Done: &done},
		},
	}
	b, err := encodePlan(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodePlan(b)
	if err != nil {
		t.Fatal(err)
	}
	if got.Graph.Len() != 3 || !reflect.DeepEqual(got.Given, want.Given) || got.Modes != want.Modes || !reflect.DeepEqual(got.Candidates, want.Candidates) {
		t.Errorf("read %+v, want %+v", got, want)
	}
	more := step("d")
	more.Outputs, more.Rank = []string{"a"}, 3 // which another makes
	long, err := want.With([]action.Step{more})
	if err != nil {
		t.Fatal(err)
	}
	long.Open = true
	if b, err = encodePlan(long); err != nil {
		t.Fatal(err)
	}
	if got, err = decodePlan(b); err != nil || !got.Open || !reflect.DeepEqual(got.Graph.Steps(), long.Graph.Steps()) {
		t.Errorf("read %+v, %v, want %+v", got, err, long)
	}
	want.Given[1].Step = 0
	if b, err = encodePlan(want); err != nil {
		t.Fatal(err)
	}
	if _, err := decodePlan(b); !errors.Is(err, errMalformed) {
		t.Errorf("a step that is given twice: decodePlan = %v", err)
	}
	want.Given, want.Modes.Policy.Strategy = nil, 99
	if b, err = encodePlan(want); err != nil {
		t.Fatal(err)
	}
	if _, err := decodePlan(b); !errors.Is(err, errMalformed) {
		t.Errorf("a policy that is none: decodePlan = %v", err)
	}
}

func FuzzEnvelope(f *testing.F) {
	epoch := steal.Epoch{Number: 3, Leader: newSigner(f, 2).id}
	for _, msg := range messages(f) {
		m, err := encode(envelope{"b", epoch, msg})
		if err != nil {
			f.Fatal(err)
		}
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var m schedpb.Envelope
		if proto.Unmarshal(b, &m) != nil {
			return
		}
		e, err := newDecoder().decode(&m)
		if err != nil {
			return
		}
		again, err := encode(e)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		got, err := newDecoder().decode(again)
		if err != nil || !reflect.DeepEqual(got, e) {
			t.Fatalf("%+v reads back as %+v, %v", e, got, err)
		}
		_ = verify(e.msg, epoch.Leader)
	})
}

func FuzzPlan(f *testing.F) {
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := decodePlan(b)
		if err != nil {
			return
		}
		again, err := encodePlan(p)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		if _, err := decodePlan(again); err != nil {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
	})
}

func TestOpsAreWrittenOnceForAll(t *testing.T) {
	id := newSigner(t, 1).id
	epoch := steal.Epoch{Number: 1, Leader: id}
	ops := make([]steal.Op, 3*maxWritten)
	for i := range ops {
		ops[i] = steal.Op{Kind: steal.OpStarted, Step: steal.Step(i), Peer: id}
	}
	var w written
	for _, part := range []struct{ first, n int }{{0, 3}, {0, 3}, {2, 5}, {0, 9}, {9, 2*maxWritten + 5}, {40, 3}, {2100, 30}} {
		a := steal.Append{First: uint64(part.first + 1), Ops: ops[part.first : part.first+part.n]}
		m, err := encodeAfter(&w, envelope{"b", epoch, a})
		if err != nil {
			t.Fatal(err)
		}
		e, err := newDecoder().decode(m)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := e.msg.(steal.Append); !ok || got.First != a.First || len(got.Ops) != part.n || got.Ops[0].Step != steal.Step(part.first) || got.Ops[part.n-1].Step != steal.Step(part.first+part.n-1) {
			t.Errorf("ops from %d on, %d of them, came as others", part.first, part.n)
		}
		if len(w.ops) > maxWritten {
			t.Fatalf("%d are kept", len(w.ops))
		}
	}
}
