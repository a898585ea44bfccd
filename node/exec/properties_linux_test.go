package exec_test

import (
	"fmt"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/buildnet/buildnet/node/exec"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
)

// A directory that nobody may write into is made last, so that the directories of
// outputs are within it.
func TestInputsHaveTheModeAndTheTimeThatTheTreeSays(t *testing.T) {
	r := newRig(t, nil)
	x, err := store.AddBytes(t.Context(), r.blobs, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	p := func(seconds int64, mode uint32) *repb.NodeProperties {
		return &repb.NodeProperties{Mtime: &timestamppb.Timestamp{Seconds: seconds}, UnixMode: wrapperspb.UInt32(mode)}
	}
	sub := r.put(&repb.Directory{NodeProperties: p(3, 0o555)})
	root := r.put(&repb.Directory{
		Files:       []*repb.FileNode{{Name: "f", Digest: action.ReapiDigest(x), NodeProperties: p(1, 0o701)}, {Name: "g", Digest: action.ReapiDigest(x)}},
		Directories: []*repb.DirectoryNode{{Name: "sub", Digest: action.ReapiDigest(sub)}},
		Symlinks:    []*repb.SymlinkNode{{Name: "l", Target: "f", NodeProperties: p(2, 0)}},
	})
	c := r.put(&repb.Command{Arguments: []string{"/bin/sh", "-ec", "stat -c '%n %a %Y' f g l sub sub/new; cp g sub/new/out"}, OutputPaths: []string{"sub/new/out"}})
	act := r.put(&repb.Action{CommandDigest: action.ReapiDigest(c), InputRootDigest: action.ReapiDigest(root)})
	result, err := r.Execute(t.Context(), exec.Request{Action: act, Name: "test"}, func() {})
	if err != nil {
		t.Fatal(err)
	}
	printed, err := store.ReadAll(t.Context(), r.blobs, result.Stdout, 1<<20)
	want := "f 701 1\ng 644 315532800\nl 777 2\nsub 555 3\nsub/new 755 315532800\n"
	if err != nil || string(printed) != want || len(result.Outputs) != 1 {
		t.Errorf("%q, outputs %v, %v", printed, result.Outputs, err)
	}
}

func TestPropertiesOfOutputsAreThoseThatAreWanted(t *testing.T) {
	r := newRig(t, nil)
	for value, want := range map[string]string{"": "false false", "mtime": "true false", "unix_mode": "false true", "mtime,unix_mode": "true true"} {
		w := sh("touch -d @5 f; chmod 600 f; mkdir d; touch -d @6 d", "f", "d")
		if value != "" {
			w.platform = []action.Property{{Name: action.PropertyNodeProperties, Value: value}}
		}
		result := r.must(w)
		d, f := result.Outputs[0], result.Outputs[1].Properties
		if got := fmt.Sprint(f.HasMTime, f.HasMode); got != want || f.HasMTime && f.MTime.Seconds != 5 || f.HasMode && f.Mode != 0o600 {
			t.Errorf("%q: %+v", value, f)
		}
		m, err := r.Directory(t.Context(), d.Digest)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(m.NodeProperties.GetMtime() != nil, m.NodeProperties.GetUnixMode() != nil); got != want {
			t.Errorf("%q: d %v", value, m)
		}
	}
}
