package action_test

import (
	"context"
	"errors"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/action/actionpb"
	"github.com/buildnet/buildnet/store/digest"
)

func TestPropertiesOfNodes(t *testing.T) {
	named := []*repb.NodeProperty{{Name: "n", Value: "v"}}
	for name, c := range map[string]struct{ said, want *repb.NodeProperties }{
		"nothing":       {nil, nil},
		"empty":         {&repb.NodeProperties{}, nil},
		"named alone":   {&repb.NodeProperties{Properties: named}, nil},
		"zero":          {&repb.NodeProperties{Mtime: &timestamppb.Timestamp{}, UnixMode: wrapperspb.UInt32(0)}, &repb.NodeProperties{Mtime: &timestamppb.Timestamp{}, UnixMode: wrapperspb.UInt32(0)}},
		"a set-uid":     {&repb.NodeProperties{UnixMode: wrapperspb.UInt32(0o104755)}, &repb.NodeProperties{UnixMode: wrapperspb.UInt32(0o755)}},
		"the year 1":    {&repb.NodeProperties{Mtime: &timestamppb.Timestamp{Seconds: -62135596800}}, &repb.NodeProperties{Mtime: &timestamppb.Timestamp{Seconds: -62135596800}}},
		"the year 9999": {&repb.NodeProperties{Mtime: &timestamppb.Timestamp{Seconds: 253402300799, Nanos: 999999999}}, &repb.NodeProperties{Mtime: &timestamppb.Timestamp{Seconds: 253402300799, Nanos: 999999999}}},
	} {
		p, err := action.PropertiesOf(c.said)
		if got := p.Message(); err != nil || !proto.Equal(got, c.want) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for name, bad := range map[string]*timestamppb.Timestamp{"before the year 1": {Seconds: -62135596801}, "after 9999": {Seconds: 253402300800}, "a second of ns": {Nanos: 1e9}, "negative ns": {Nanos: -1}} {
		if p, err := action.PropertiesOf(&repb.NodeProperties{Mtime: bad}); !errors.Is(err, action.ErrInvalid) {
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
}

func TestWantedProperties(t *testing.T) {
	for value, want := range map[string]action.Wanted{"mtime": {MTime: true}, "unix_mode": {Mode: true}, "mtime,unix_mode": {MTime: true, Mode: true}} {
		if got, err := action.ParseWanted(value); err != nil || got != want || got.String() != value {
			t.Errorf("%s: %+v, %v", value, got, err)
		}
	}
	if got, err := action.WantedOf([]string{"unix_mode", "mtime", "mtime"}); err != nil || got.String() != "mtime,unix_mode" {
		t.Errorf("in another order: %v, %v", got, err)
	}
	for _, bad := range []string{"", "owner", "mtime,", "MTime"} {
		if got, err := action.ParseWanted(bad); !errors.Is(err, action.ErrInvalid) {
			t.Errorf("%q: %v, %v", bad, got, err)
		}
	}
}

// A result of a peer with a time that no clock shows.
func TestAResultWithATimeThatIsNoneIsRefused(t *testing.T) {
	for _, bad := range []*actionpb.Time{{Nanos: 1e9}, {Nanos: -1}, {Nanos: 1 << 40}, {Seconds: 1 << 60}} {
		b, err := proto.Marshal(&actionpb.Result{Isolation: 1, Outputs: []*actionpb.Output{
			{Path: "a", Kind: 1, Digest: digest.Of(digest.BLAKE3, nil).Binary(), Mtime: bad},
		}})
		if err != nil {
			t.Fatal(err)
		}
		if r, err := action.UnmarshalResult(b); !errors.Is(err, action.ErrInvalid) {
			t.Errorf("%v: %+v, %v", bad, r, err)
		}
	}
}

// What is said of a directory stays when something is put into it.
func TestATreeKeepsWhatIsSaidOfItsDirectories(t *testing.T) {
	b, err := action.EncodeBlob(&repb.Directory{NodeProperties: &repb.NodeProperties{UnixMode: wrapperspb.UInt32(0o700)}})
	if err != nil {
		t.Fatal(err)
	}
	tree := action.NewTree(shelf{b.Digest: b.Content}, b.Digest)
	if err := tree.Mkdir(context.Background(), "d"); err != nil {
		t.Fatal(err)
	}
	root, made, err := tree.Encode()
	if err != nil {
		t.Fatal(err)
	}
	var m repb.Directory
	if err := proto.Unmarshal(made[len(made)-1].Content, &m); err != nil {
		t.Fatal(err)
	}
	if made[len(made)-1].Digest != root || len(m.Directories) != 1 || m.NodeProperties.GetUnixMode().GetValue() != 0o700 {
		t.Errorf("root %v", &m)
	}
}
