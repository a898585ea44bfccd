package explain_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/node/explain"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/history"
	"github.com/buildnet/buildnet/store/memory"
)

func (b blobs) put(t *testing.T, fn digest.Function, m proto.Message) *repb.Digest {
	t.Helper()
	content, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	d := digest.Of(fn, content)
	b[d] = content
	return &repb.Digest{Hash: d.Hex(), SizeBytes: d.Size()}
}

// asked keeps an action as a client of REAPI 2.0 makes it, and returns what it asks for.
func (b blobs) asked(t *testing.T, fn digest.Function, output, toolchain string) *event.Asked {
	t.Helper()
	command := &repb.Command{
		Arguments:   []string{"cc"},
		OutputFiles: []string{output},
		Platform:    &repb.Platform{Properties: []*repb.Platform_Property{{Name: "Pool", Value: output}}},
	}
	d := b.put(t, fn, &repb.Action{CommandDigest: b.put(t, fn, command), InputRootDigest: b.put(t, fn, &repb.Directory{})})
	act, err := digest.FromHex(fn, d.GetHash(), d.GetSizeBytes())
	if err != nil {
		t.Fatal(err)
	}
	return &event.Asked{Action: act.String(), Mnemonic: "CppCompile", Target: "//x:y", Toolchain: toolchain}
}

// Steps of clients are compared by the actions that the clients know, with the builds
// of the same client, and found by what a client calls them.
func TestStepsOfClientsAreExplained(t *testing.T) {
	b := blobs{}
	one, renamed := b.asked(t, digest.SHA256, "a.o", "blake3:x"), b.asked(t, digest.SHA256, "b.o", "blake3:x")
	for _, tc := range []struct {
		name      string
		then, now *event.Asked
		want      []event.Aspect
		same      bool
	}{
		{"Same", one, one, nil, true},
		{"Known", one, b.asked(t, digest.SHA256, "a.o", ""), nil, true},
		{"Toolchain", one, b.asked(t, digest.SHA256, "a.o", "blake3:y"), []event.Aspect{event.OfToolchain}, false},
		{"Output", one, renamed, []event.Aspect{event.OfOutput, event.OfPlatform}, false},
		{"OtherFunction", one, b.asked(t, digest.BLAKE3, "b.o", "blake3:x"), []event.Aspect{event.OfOutput, event.OfPlatform}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := history.New(&memory.KV{})
			for i, a := range []*event.Asked{tc.then, tc.now} {
				line, err := event.Encode(event.StepFinished{Step: "CppCompile a.o", Status: event.Executed, Digest: "native", Asked: a})
				if err != nil {
					t.Fatal(err)
				}
				r := history.Record{
					ID: []string{"then", "now"}[i], Started: time.Unix(int64(i+1), 0), Root: []string{"bazel 1", "bazel 2"}[i], Client: "bazel",
					Summary: json.RawMessage("{}"), Events: append(line, '\n'),
				}
				if err := h.Put(r); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := explain.Step(t.Context(), h, b.read, "now", "//x"); !errors.Is(err, explain.ErrNoStep) {
				t.Errorf("half a name: %v", err)
			}
			for _, name := range []string{"CppCompile a.o", "//x:y", "a.o", tc.now.Action} {
				x, err := explain.Step(t.Context(), h, b.read, "now", name)
				if err != nil || x.Before != "then" || x.Same != tc.same || len(x.Differences) != len(tc.want) || x.Unknown != "" {
					t.Fatalf("%s: %+v, %v", name, x, err)
				}
				for i, of := range tc.want {
					if x.Differences[i].Of != of {
						t.Errorf("%s: %+v", name, x.Differences)
					}
				}
			}
		})
	}
}

func TestAStepOfSeveralIsToBeNamed(t *testing.T) {
	h := history.New(&memory.KV{})
	a := &event.Asked{Action: "sha256:x/1", Mnemonic: "CppLink", Target: "//x:y"}
	put(t, h, "b", 1, event.StepFinished{Step: "CppLink a", Digest: "native", Asked: a}, event.StepFinished{Step: "CppLink b", Digest: "native", Asked: a})
	_, err := explain.Step(t.Context(), h, blobs{}.read, "b", "//x:y")
	if !errors.Is(err, explain.ErrSeveralSteps) || !strings.Contains(err.Error(), `["CppLink a" "CppLink b"]`) {
		t.Errorf("%v", err)
	}
	if x, err := explain.Step(t.Context(), h, blobs{}.read, "b", "b"); err != nil || x.Step.Step != "CppLink b" {
		t.Errorf("%+v, %v", x, err)
	}
}
