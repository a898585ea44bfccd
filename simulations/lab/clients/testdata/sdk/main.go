// Command sdk uploads to a server of the Remote Execution API what an action copies, or
// reads the copies from another of the same mesh, in each way that the library of
// remotetool and reclient knows. It prints a line for each thing that went as it should.
package main

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"math/rand"
	"os"
	"path/filepath"
	"strings"

	"github.com/bazelbuild/remote-apis-sdks/go/pkg/client"
	"github.com/bazelbuild/remote-apis-sdks/go/pkg/command"
	"github.com/bazelbuild/remote-apis-sdks/go/pkg/digest"
	"github.com/bazelbuild/remote-apis-sdks/go/pkg/filemetadata"
	"github.com/bazelbuild/remote-apis-sdks/go/pkg/uploadinfo"
	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	epb "google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// ways are how the library can be told to move blobs.
var ways = []struct {
	name string
	opts []client.Opt
}{
	{"streams", []client.Opt{client.UseBatchOps(false)}},
	{"batches", []client.Opt{client.UseBatchOps(true)}},
	{"unified", []client.Opt{client.UnifiedUploads(true), client.UnifiedDownloads(true)}},
	{"compressed streams", []client.Opt{client.UseBatchOps(false), client.CompressedBytestreamThreshold(0)}},
	{"compressed batches", []client.Opt{client.UseBatchCompression(true), client.CompressedBytestreamThreshold(0)}},
	{"compressed unified", []client.Opt{
		client.UnifiedUploads(true), client.UnifiedDownloads(true), client.UseBatchCompression(true), client.CompressedBytestreamThreshold(0),
	}},
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 4 {
		log.Fatal("usage: sdk upload|download SERVER DIR")
	}
	ctx := context.Background()
	side, server, dir := uploads, os.Args[2], os.Args[3]
	if os.Args[1] == "download" {
		side = downloads
	}
	for i, way := range ways {
		c := dial(ctx, server, way.opts...)
		side.blobs(ctx, c, filepath.Join(dir, way.name), samples(int64(i)))
		check(c.Close())
		fmt.Println("blobs:", way.name)
	}
	c := dial(ctx, server)
	for _, more := range side.more {
		fmt.Println(more(ctx, c, dir))
	}
	check(c.Close())
}

// side is what is done at one of the two servers.
type side struct {
	blobs func(ctx context.Context, c *client.Client, dir string, blobs [][]byte)
	more  []func(ctx context.Context, c *client.Client, dir string) (did string)
}

var (
	uploads   = side{upload, []func(context.Context, *client.Client, string) string{tree, absent, written}}
	downloads = side{download, []func(context.Context, *client.Client, string) string{getPart, unwritten}}
)

func dial(ctx context.Context, server string, opts ...client.Opt) *client.Client {
	c, err := client.NewClient(ctx, "main", client.DialParams{Service: server, NoSecurity: true}, opts...)
	check(err)
	return c
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// samples are blobs of all sizes that matter: none, small ones, those that no batch
// holds; some shrink when compressed.
func samples(seed int64) [][]byte {
	r := rand.New(rand.NewSource(seed))
	noise := make([]byte, 5<<20)
	r.Read(noise)
	all := [][]byte{nil, noise, []byte(strings.Repeat(fmt.Sprintf("line of %d\n", seed), 500_000))}
	for i := range 100 {
		all = append(all, fmt.Appendf(nil, "%s %d of %d", strings.Repeat("word ", 20*i), i, seed))
	}
	return all
}

// copied is the input root of an action that copies blobs, and the action.
func copied(blobs [][]byte) (*repb.Directory, *repb.Command) {
	root := &repb.Directory{}
	for i, b := range blobs {
		root.Files = append(root.Files, &repb.FileNode{Name: fmt.Sprintf("%03d", i), Digest: digest.NewFromBlob(b).ToProto()})
	}
	return root, &repb.Command{Arguments: []string{"/bin/sh", "-c", "mkdir out && cp [0-9]* out"}, OutputPaths: []string{"out"}}
}

func upload(ctx context.Context, c *client.Client, dir string, blobs [][]byte) {
	var entries []*uploadinfo.Entry
	for _, b := range blobs {
		entries = append(entries, uploadinfo.EntryFromBlob(b))
	}
	missing, _, err := c.UploadIfMissing(ctx, entries...)
	check(err)
	if len(missing) != len(blobs)-1 { // without the empty one
		log.Fatalf("%d of %d blobs were missing", len(missing), len(blobs))
	}
	root, cmd := copied(blobs)
	r := execute(ctx, c, action(ctx, c, root, cmd))
	check(status.ErrorProto(r.GetStatus()))
	compare(ctx, c, r.GetResult(), dir, blobs)
}

// download takes what upload has made.
func download(ctx context.Context, c *client.Client, dir string, blobs [][]byte) {
	root, cmd := copied(blobs)
	r, err := c.CheckActionCache(ctx, action(ctx, c, root, cmd))
	check(err)
	if r == nil {
		log.Fatal("the result is not known")
	}
	compare(ctx, c, r, dir, blobs)
}

// compare downloads the copies.
func compare(ctx context.Context, c *client.Client, r *repb.ActionResult, dir string, blobs [][]byte) {
	check(os.MkdirAll(dir, 0o755))
	_, err := c.DownloadActionOutputs(ctx, r, dir, filemetadata.NewNoopCache())
	check(err)
	for i, b := range blobs {
		got, err := os.ReadFile(filepath.Join(dir, "out", fmt.Sprintf("%03d", i)))
		check(err)
		if !bytes.Equal(got, b) {
			log.Fatalf("%d bytes come back as others", len(b))
		}
	}
}

func execute(ctx context.Context, c *client.Client, a *repb.Digest) *repb.ExecuteResponse {
	op, err := c.ExecuteAndWait(ctx, &repb.ExecuteRequest{InstanceName: c.InstanceName, ActionDigest: a})
	check(err)
	r := &repb.ExecuteResponse{}
	check(op.GetResponse().UnmarshalTo(r))
	return r
}

func getPart(ctx context.Context, c *client.Client, _ string) string {
	whole := samples(0)[1]
	got, _, err := c.ReadBlobRange(ctx, digest.NewFromBlob(whole), 995, 20)
	check(err)
	if !bytes.Equal(got, whole[995:1015]) {
		log.Fatalf("a part is %x", got)
	}
	return "part of a blob"
}

// tree uploads a tree of four directories, and asks for it.
func tree(ctx context.Context, c *client.Client, dir string) string {
	dir = filepath.Join(dir, "tree")
	for i := range 3 {
		check(os.MkdirAll(filepath.Join(dir, fmt.Sprint("d", i)), 0o755))
		check(os.WriteFile(filepath.Join(dir, fmt.Sprint("d", i), "f"), fmt.Append(nil, i), 0o644))
	}
	root, entries, _, err := c.ComputeMerkleTree(ctx, dir, "", "", &command.InputSpec{Inputs: []string{"."}}, filemetadata.NewNoopCache())
	check(err)
	_, _, err = c.UploadIfMissing(ctx, entries...)
	check(err)
	got, err := c.GetDirectoryTree(ctx, root.ToProto())
	check(err)
	if len(got) != 4 {
		log.Fatalf("a tree of %d directories", len(got))
	}
	return "tree"
}

// action uploads an action, and returns its digest.
func action(ctx context.Context, c *client.Client, root *repb.Directory, cmd *repb.Command) *repb.Digest {
	rootDigest, err := c.WriteProto(ctx, root)
	check(err)
	commandDigest, err := c.WriteProto(ctx, cmd)
	check(err)
	d, err := c.WriteProto(ctx, &repb.Action{CommandDigest: commandDigest.ToProto(), InputRootDigest: rootDigest.ToProto()})
	check(err)
	return d.ToProto()
}

// absent executes what has a file that was not uploaded.
func absent(ctx context.Context, c *client.Client, _ string) string {
	gone := digest.NewFromBlob([]byte("not uploaded"))
	a := action(ctx, c, &repb.Directory{Files: []*repb.FileNode{{Name: "gone", Digest: gone.ToProto()}}}, &repb.Command{Arguments: []string{"/bin/cat", "gone"}})
	s := status.FromProto(execute(ctx, c, a).GetStatus())
	if s.Code() != codes.FailedPrecondition || len(s.Details()) != 1 {
		log.Fatalf("without an input: %v", s)
	}
	v := s.Details()[0].(*epb.PreconditionFailure).GetViolations()
	if len(v) != 1 || v[0].GetType() != "MISSING" || v[0].GetSubject() != "blobs/"+gone.String() {
		log.Fatalf("without an input: %v", v)
	}
	return "missing input"
}

func claimed(ctx context.Context, c *client.Client) *repb.Digest {
	return action(ctx, c, &repb.Directory{}, &repb.Command{Arguments: []string{"/bin/true"}, OutputPaths: []string{"out"}})
}

// written is a result that a client says it has made.
func written(ctx context.Context, c *client.Client, _ string) string {
	out, err := c.WriteBlob(ctx, []byte("made elsewhere"))
	check(err)
	a := claimed(ctx, c)
	said := &repb.ActionResult{OutputFiles: []*repb.OutputFile{{Path: "out", Digest: out.ToProto()}}}
	_, err = c.UpdateActionResult(ctx, &repb.UpdateActionResultRequest{InstanceName: c.InstanceName, ActionDigest: a, ActionResult: said})
	check(err)
	got, err := c.CheckActionCache(ctx, a)
	check(err)
	if len(got.GetOutputFiles()) != 1 || got.OutputFiles[0].Path != "out" {
		log.Fatalf("the result comes back as %v", got)
	}
	return "result"
}

// unwritten is a result that a client has told another server.
func unwritten(ctx context.Context, c *client.Client, _ string) string {
	got, err := c.CheckActionCache(ctx, claimed(ctx, c))
	check(err)
	if got != nil {
		log.Fatalf("what a client has told another server is known: %v", got)
	}
	return "no result of others"
}
