package node

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/dht"
	"github.com/buildnet/buildnet/node/exec"
	"github.com/buildnet/buildnet/sched"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/disk"
)

// A leader may be any member, and lie: only what this node asked for itself
// runs with its rights.
func TestLeaderCannotHaveACommandRunWithTheNodesRights(t *testing.T) {
	store, err := disk.Open(filepath.Join(t.TempDir(), "store"), disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}()
	keep := func(m proto.Message) digest.Digest {
		t.Helper()
		b, err := action.EncodeBlob(m)
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Put(t.Context(), b.Digest, bytes.NewReader(b.Content)); err != nil {
			t.Fatal(err)
		}
		return b.Digest
	}
	free := []action.Property{{Name: action.PropertySandbox, Value: "none"}}
	open := &repb.Platform{Properties: []*repb.Platform_Property{{Name: action.PropertySandbox, Value: "none"}}}
	step := func(arg string, platform []action.Property) *action.Step {
		return &action.Step{ID: "s", Argv: []string{"run", arg}, Outputs: []string{"o"}, Platform: platform}
	}
	of := func(s *action.Step) digest.Digest {
		b, err := s.Command()
		if err != nil {
			t.Fatal(err)
		}
		return b.Digest
	}
	command := func(arg string, p *repb.Platform) digest.Digest {
		return keep(&repb.Command{Arguments: []string{"run", arg}, OutputPaths: []string{"o"}, Platform: p})
	}
	plain := &repb.Platform{}
	for name, c := range map[string]struct {
		command  digest.Digest
		platform *repb.Platform // of the action
		own      *action.Step
		reduced  bool
		runs     bool
	}{
		"isolated, of another":                 {command("x", plain), plain, nil, false, true},
		"free, of another":                     {command("x", open), open, nil, false, false},
		"free by its command alone":            {command("x", open), nil, nil, false, false},
		"free, asked for here":                 {of(step("x", free)), open, step("x", free), false, true},
		"free, another command than asked for": {command("y", open), open, step("x", free), false, false},
		"free, asked for with isolation":       {of(step("x", nil)), open, step("x", nil), false, false},
		"reduced, of another":                  {command("x", plain), plain, nil, true, false},
		"reduced, asked for here":              {of(step("x", nil)), plain, step("x", nil), true, true},
		"reduced, another command":             {command("y", plain), plain, step("x", nil), true, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := &runner{store: store, handed: newHanded(store), reduced: c.reduced}
			task, err := r.task(t.Context(), keep(&repb.Action{CommandDigest: action.ReapiDigest(c.command), Platform: c.platform}))
			if err != nil {
				t.Fatal(err)
			}
			if f := r.trust(sched.Job{Own: c.own}, task); (f == nil) != c.runs {
				t.Errorf("refused: %+v", f)
			}
		})
	}
}

// What an error means to the leader: whom it blames, and when the step is tried
// again.
func TestWhatFailuresMean(t *testing.T) {
	for err, want := range map[error]steal.FailureKind{
		fmt.Errorf("it: %w", exec.ErrUnable):    steal.Unable,
		fmt.Errorf("it: %w", exec.ErrNoSpace):   steal.NoSpace,
		fmt.Errorf("it: %w", store.ErrFull):     steal.NoSpace,
		fmt.Errorf("it: %w", store.ErrNotFound): steal.MissingBlob,
		fmt.Errorf("it: %w", store.ErrCorrupt):  steal.MissingBlob,
		fmt.Errorf("it: %w", dht.ErrNoHolder):   steal.MissingBlob,
		errors.New("it"):                        steal.Broken,
	} {
		text := err.Error()
		if want == steal.NoSpace { // told from other texts by who gets it
			text = steal.NoRoom + ": " + text
		}
		if f := failureOf(err); f.Kind != want || f.Text != text {
			t.Errorf("%v: %+v, want kind %d and %q", err, f, want, text)
		}
	}
}
