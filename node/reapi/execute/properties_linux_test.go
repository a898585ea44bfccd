package execute_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/buildnet/buildnet/node/nodetest"
	"github.com/buildnet/buildnet/store/digest"
)

// said are properties of a node; no mode is none.
func said(seconds int64, mode ...uint32) *repb.NodeProperties {
	p := &repb.NodeProperties{Mtime: &timestamppb.Timestamp{Seconds: seconds, Nanos: 5}}
	if len(mode) > 0 {
		p.UnixMode = wrapperspb.UInt32(mode[0])
	}
	return p
}

// over is an action of a script over a root.
func (c *client) over(root *repb.Directory, script string, command *repb.Command) *repb.Digest {
	c.Helper()
	command.Arguments = []string{"/bin/sh", "-ec", script}
	return c.putMessage(&repb.Action{
		CommandDigest: c.putMessage(command), InputRootDigest: c.putMessage(root), Timeout: durationpb.New(time.Minute),
	})
}

// REAPI v2, Command.output_node_properties, OutputFile, OutputSymlink and Directory: a
// client gets those that it asks for, of outputs at any depth, from the cache and from
// any member too.
func TestDemand5OutputNodeProperties(t *testing.T) {
	nodes := nodetest.Mesh(t, 2, 2)
	for _, fn := range []digest.Function{digest.SHA256, digest.BLAKE3} {
		for _, asked := range [][]string{{"mtime", "unix_mode"}, {"mtime"}, {"unix_mode"}, nil} {
			t.Run(fmt.Sprint(fn, asked), func(t *testing.T) {
				c, other := connect(t, nodes[0]), connect(t, nodes[1])
				c.fn, other.fn = fn, fn
				script := `echo x > f; chmod 640 f; touch -d @1000000007 f; mkdir -p d/sub; echo y > d/sub/g; ln -s f l; ln -s sub d/m
					chmod 700 d/sub/g; touch -h -d @1000000001 l d/m; touch -d @1000000002 d/sub/g; chmod 711 d/sub; touch -d @1000000003 d/sub; touch -d @1000000004 d`
				act := c.over(&repb.Directory{}, script, &repb.Command{
					OutputPaths: []string{"d", "f", "l"}, OutputNodeProperties: asked, OutputDirectoryFormat: repb.Command_TREE_AND_DIRECTORY,
				})
				first := c.run(c.in("outputs"), act)
				known, err := other.ac.GetActionResult(t.Context(), &repb.GetActionResultRequest{ActionDigest: act, DigestFunction: other.function()})
				if err != nil {
					t.Fatal(err)
				}
				check := func(what string, got *repb.NodeProperties, seconds int64, mode uint32) {
					t.Helper()
					want := &repb.NodeProperties{}
					if slices.Contains(asked, "mtime") {
						want.Mtime = &timestamppb.Timestamp{Seconds: seconds}
					}
					if slices.Contains(asked, "unix_mode") {
						want.UnixMode = wrapperspb.UInt32(mode)
					}
					if len(asked) == 0 {
						want = nil
					}
					if !proto.Equal(got, want) {
						t.Errorf("%s: %v, want %v", what, got, want)
					}
				}
				for from, r := range map[*client]*repb.ActionResult{c: c.ok(first), other: known} {
					check("f", r.OutputFiles[0].NodeProperties, 1000000007, 0o640)
					check("l", r.OutputSymlinks[0].NodeProperties, 1000000001, 0o777)
					var tree repb.Tree
					if err := proto.Unmarshal([]byte(from.read(r.OutputDirectories[0].TreeDigest)), &tree); err != nil {
						t.Fatal(err)
					}
					var root repb.Directory
					if err := proto.Unmarshal([]byte(from.read(r.OutputDirectories[0].RootDirectoryDigest)), &root); err != nil || !proto.Equal(&root, tree.Root) {
						t.Errorf("root %v, %v", &root, err)
					}
					check("d", tree.Root.NodeProperties, 1000000004, 0o755)
					check("d/m", tree.Root.Symlinks[0].NodeProperties, 1000000001, 0o777)
					check("d/sub", tree.Children[0].NodeProperties, 1000000003, 0o711)
					check("d/sub/g", tree.Children[0].Files[0].NodeProperties, 1000000002, 0o700)
				}
			})
		}
	}
}

// REAPI v2, Command.output_node_properties: a property that is not recognised.
func TestDemand5OutputNodePropertiesThatNobodyKnows(t *testing.T) {
	c := connect(t, nodetest.Start(t, 2, ""))
	w := shell("cp in out", "out")
	w.command.OutputNodeProperties = []string{"mtime", "owner"}
	if got := c.fails(c.run(c.in("owner"), c.upload(w)), codes.InvalidArgument); !strings.Contains(got.Message(), `"owner"`) {
		t.Errorf("%v", got)
	}
}

// REAPI v2, NodeProperties of an input root: an action sees them. Actions that differ
// in them are different actions; named properties make no difference.
func TestDemand5InputNodeProperties(t *testing.T) {
	c := connect(t, nodetest.Start(t, 2, ""))
	for _, fn := range []digest.Function{digest.SHA256, digest.BLAKE3} {
		c.fn = fn
		x := c.put([]byte("x"))
		printed := func(script string, command *repb.Command, root *repb.Directory) (string, bool) {
			t.Helper()
			r := c.run(c.in("inputs"), c.over(root, script, command))
			return c.read(c.ok(r).GetStdoutDigest()), r.GetCachedResult()
		}
		sub := &repb.Directory{Files: []*repb.FileNode{{Name: "g", Digest: x, IsExecutable: true}}, NodeProperties: said(1000000003, 0o711)}
		root := func(seconds int64, named string) *repb.Directory {
			m := &repb.Directory{
				Directories: []*repb.DirectoryNode{{Name: "sub", Digest: c.putMessage(sub)}},
				Files: []*repb.FileNode{
					{Name: "e", Digest: x, IsExecutable: true, NodeProperties: said(seconds)},
					{Name: "f", Digest: x, IsExecutable: true, NodeProperties: said(seconds, 0o100640)},
				},
				Symlinks:       []*repb.SymlinkNode{{Name: "l", Target: "f", NodeProperties: said(1000000001)}},
				NodeProperties: said(1000000004, 0o750),
			}
			if named != "" {
				m.Files[0].NodeProperties.Properties = []*repb.NodeProperty{{Name: named}}
			}
			return m
		}
		// Outputs below make directories within the inputs' own.
		script, command := "stat -c '%n %a %.9Y' e f l sub sub/g .", &repb.Command{OutputPaths: []string{"sub/new/out"}}
		want := func(seconds int64) string {
			return fmt.Sprintf("e 755 %d.000000005\nf 640 %d.000000005\nl 777 1000000001.000000005\nsub 711 1000000003.000000005\nsub/g 755 315532800.000000000\n. 750 1000000004.000000005\n", seconds, seconds)
		}
		for _, seconds := range []int64{1, 0, 4000000000} {
			if got, _ := printed(script, command, root(seconds, "")); got != want(seconds) {
				t.Errorf("%v: %q, want %q", fn, got, want(seconds))
			}
		}
		if got, cached := printed(script, command, root(1, "bazel_tool_input")); got != want(1) || !cached {
			t.Errorf("with a named property: cached %v, %q", cached, got)
		}
		// Directories that the older field names are added to the tree.
		old := &repb.Command{OutputDirectories: []string{"made"}}
		if got, _ := printed(script, old, root(1, "")); got != want(1) {
			t.Errorf("%v, output_directories: %q, want %q", fn, got, want(1))
		}
		bad := root(1, "")
		bad.Files[0].NodeProperties.Mtime.Nanos = 1e9
		c.fails(c.run(c.in("inputs"), c.over(bad, script, &repb.Command{})), codes.InvalidArgument)
	}
}
