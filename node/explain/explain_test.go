package explain_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/node/explain"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/history"
	"github.com/buildnet/buildnet/store/memory"
)

// blobs are what was kept of actions.
type blobs map[digest.Digest][]byte

func (b blobs) read(_ context.Context, d digest.Digest) ([]byte, error) {
	content, ok := b[d]
	if !ok {
		return nil, store.ErrNotFound
	}
	return content, nil
}

// Directory implements action.Directories.
func (b blobs) Directory(_ context.Context, d digest.Digest) (*repb.Directory, error) {
	m := new(repb.Directory)
	return m, proto.Unmarshal(b[d], m)
}

// action keeps an action of a step and these files, and returns its digest.
func (b blobs) action(t *testing.T, s action.Step, files map[string]string) string {
	t.Helper()
	tree := action.NewTree(b, digest.Digest{})
	for path, text := range files {
		o := action.Output{Path: path, Kind: action.File, Digest: digest.Of(digest.BLAKE3, []byte(text))}
		if target, link := strings.CutPrefix(text, "-> "); link {
			o = action.Output{Path: path, Kind: action.Symlink, Target: target}
		}
		if err := tree.Put(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	root, dirs, err := tree.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		b[d.Digest] = d.Content
	}
	s.Inputs = root
	a, err := action.Assemble(t.Context(), &s, nil, b)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range a.Blobs {
		b[m.Digest] = m.Content
	}
	return a.Action.String()
}

func step(args ...string) action.Step {
	return action.Step{
		ID: "a.o", Argv: args, Outputs: []string{"a.o"}, Env: []action.Property{{Name: "LANG", Value: "C"}},
		Platform: []action.Property{{Name: action.PropertyToolchain, Value: "blake3:aa"}, {Name: action.PropertyToolchainSpec, Value: "g++"}},
	}
}

func hash(text string) string { return digest.Of(digest.BLAKE3, []byte(text)).Hex() }

// TestDifferencesAreNamed covers everything of which an action is made.
func TestDifferencesAreNamed(t *testing.T) {
	files := map[string]string{"src/a.c": "a", "src/inc/b.h": "b", "src/inc/l": "-> b.h", "etc/c": "c"}
	for _, tc := range []struct {
		name   string
		change func(s *action.Step, files map[string]string)
		want   []event.Difference
	}{
		{"Argument", func(s *action.Step, _ map[string]string) { s.Argv = []string{"cc", "-O2", "-c", "a.c"} },
			[]event.Difference{{Of: event.OfCommand, Name: "arguments", Before: "-O1", Now: "-O2"}}},
		{"MoreArguments", func(s *action.Step, _ map[string]string) { s.Argv = append(s.Argv, "-g", "-Wall") },
			[]event.Difference{{Of: event.OfCommand, Name: "arguments", Now: "-g -Wall"}}},
		{"Environment", func(s *action.Step, _ map[string]string) { s.Env = []action.Property{{Name: "TZ", Value: "UTC"}} },
			[]event.Difference{{Of: event.OfEnvironment, Name: "LANG", Before: "C"}, {Of: event.OfEnvironment, Name: "TZ", Now: "UTC"}}},
		{"Toolchain", func(s *action.Step, _ map[string]string) {
			s.Platform = []action.Property{{Name: action.PropertyToolchain, Value: "blake3:bb"}, {Name: action.PropertyToolchainSpec, Value: "g++"}}
		}, []event.Difference{{Of: event.OfToolchain, Name: "g++", Before: "blake3:aa", Now: "blake3:bb"}}},
		{"Platform", func(s *action.Step, _ map[string]string) {
			s.Platform = append(s.Platform, action.Property{Name: "zone", Value: "x"})
		}, []event.Difference{{Of: event.OfPlatform, Name: "zone", Now: "x"}}},
		{"Output", func(s *action.Step, _ map[string]string) { s.Outputs = []string{"a.d", "a.o"} },
			[]event.Difference{{Of: event.OfOutput, Name: "outputs", Now: "a.d"}}},
		{"Inputs", func(_ *action.Step, f map[string]string) {
			f["src/inc/b.h"], f["src/inc/l"], f["new/d"] = "B", "-> c.h", "d"
			delete(f, "etc/c")
		}, []event.Difference{
			{Of: event.OfInput, Name: "etc/c", Before: hash("c")}, {Of: event.OfInput, Name: "new/d", Now: hash("d")},
			{Of: event.OfInput, Name: "src/inc/b.h", Before: hash("b"), Now: hash("B")}, {Of: event.OfInput, Name: "src/inc/l", Before: "-> b.h", Now: "-> c.h"},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := blobs{}
			before := b.action(t, step("cc", "-O1", "-c", "a.c"), files)
			s, changed := step("cc", "-O1", "-c", "a.c"), map[string]string{}
			for path, text := range files {
				changed[path] = text
			}
			tc.change(&s, changed)
			x := explained(t, b, before, b.action(t, s, changed))
			if diff := cmp.Diff(tc.want, x.Differences); diff != "" || x.Unknown != "" || x.Same {
				t.Errorf("%+v %s", x, diff)
			}
		})
	}
}

// explained is what is said of a step whose action was another one before.
func explained(t *testing.T, b blobs, before, now string) event.Explanation {
	t.Helper()
	h := history.New(&memory.KV{})
	put(t, h, "b1", 1, event.StepFinished{Step: "a.o", Digest: before, Status: event.Executed})
	put(t, h, "b2", 2, event.StepFinished{Step: "other", Digest: now, Status: event.Executed})
	put(t, h, "b3", 3, event.StepFinished{Step: "a.o", Digest: now, Status: event.Executed})
	x, err := explain.Step(t.Context(), h, b.read, "b3", "a.o")
	if err != nil || x.Before != "b1" || x.Build != "b3" || x.Step.Digest != now {
		t.Fatalf("%+v, %v", x, err)
	}
	return x
}

func put(t *testing.T, h *history.History, id string, hour int, steps ...event.StepFinished) {
	t.Helper()
	var lines []byte
	for _, s := range steps {
		s.Build = id
		line, err := event.Encode(s)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(append(lines, line...), '\n')
	}
	r := history.Record{ID: id, Root: "/p", Started: time.Date(2026, 1, 1, hour, 0, 0, 0, time.UTC), Summary: json.RawMessage(`{"policy":{"profile":"speed"}}`), Events: lines}
	if err := h.Put(r); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsNoLongerKeptIsSaid(t *testing.T) {
	b := blobs{}
	files := map[string]string{"src/a.c": "a"}
	before, now := b.action(t, step("cc", "a.c"), files), b.action(t, step("cc", "-g", "a.c"), map[string]string{"src/a.c": "b"})
	for d, content := range b {
		if m := new(repb.Directory); proto.Unmarshal(content, m) == nil && len(m.Files) > 0 && m.Files[0].Name == "a.c" {
			delete(b, d)
		}
	}
	if x := explained(t, b, before, now); !strings.Contains(x.Unknown, "not all of what the inputs were is kept") || len(x.Differences) != 1 {
		t.Errorf("without directories: %+v", x)
	}
	if x := explained(t, blobs{}, before, now); !strings.Contains(x.Unknown, "what the action was is not kept") {
		t.Errorf("without anything: %+v", x)
	}
	if x := explained(t, b, now, now); !x.Same || x.Unknown != "" {
		t.Errorf("the same: %+v", x)
	}
}

func TestMoreDifferencesThanHelpAreCounted(t *testing.T) {
	b, files := blobs{}, map[string]string{}
	before := b.action(t, step("cc"), files)
	for i := range explain.MaxDifferences + 7 {
		files[fmt.Sprint("f", i)] = "x"
	}
	if x := explained(t, b, before, b.action(t, step("cc"), files)); len(x.Differences) != explain.MaxDifferences || x.More != 7 {
		t.Errorf("%d, and %d more", len(x.Differences), x.More)
	}
}

// TestReasonsAreFollowed covers those of a graph, and steps without an action.
func TestReasonsAreFollowed(t *testing.T) {
	h := history.New(&memory.KV{})
	put(t, h, "b1", 1,
		event.StepFinished{Step: "app", Why: "lib.a is dirty", Here: []string{"console"}}, event.StepFinished{Step: "lib.a", Why: "a.o is dirty"},
		event.StepFinished{Step: "a.o", Why: "output a.o doesn't exist"}, event.StepFinished{Step: "x", Why: "y is dirty"}, event.StepFinished{Step: "y", Why: "x is dirty"})
	x, err := explain.Step(t.Context(), h, blobs{}.read, "b1", "app")
	want := []event.Because{{Step: "app", Why: "lib.a is dirty"}, {Step: "lib.a", Why: "a.o is dirty"}, {Step: "a.o", Why: "output a.o doesn't exist"}}
	if diff := cmp.Diff(want, x.Because); err != nil || diff != "" || x.Unknown == "" || x.Policy.Profile != "speed" {
		t.Errorf("%+v, %v %s", x, err, diff)
	}
	if x, err = explain.Step(t.Context(), h, blobs{}.read, "b1", "x"); err != nil || len(x.Because) != 2 {
		t.Errorf("a circle: %+v, %v", x, err)
	}
	if _, err = explain.Step(t.Context(), h, blobs{}.read, "b1", "z"); !errors.Is(err, explain.ErrNoStep) {
		t.Errorf("no such step: %v", err)
	}
	if _, err = explain.Step(t.Context(), h, blobs{}.read, "no", "z"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("no such build: %v", err)
	}
}
