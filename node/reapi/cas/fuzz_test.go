package cas_test

import (
	"fmt"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/node/reapi/cas"
	"github.com/buildnet/buildnet/node/reapi/names"
	"github.com/buildnet/buildnet/store/digest"
)

// FuzzGetTree has a client's bytes for a directory whose tree is asked for: what comes
// is that directory, once, or INVALID_ARGUMENT.
func FuzzGetTree(f *testing.F) {
	w := serve(f, cas.Options{})
	leaf, nowhere := names.Message(w.addDirectory(digest.SHA256, "leaf")), names.Message(digest.Of(digest.SHA256, []byte("nowhere")))
	deep := w.addDirectory(digest.SHA256, "0")
	for i := range 300 {
		deep = w.addDirectory(digest.SHA256, fmt.Sprint(i+1), deep, deep)
	}
	wide := &repb.Directory{}
	for i := range 5000 {
		wide.Directories = append(wide.Directories, &repb.DirectoryNode{Name: fmt.Sprint(i), Digest: leaf})
	}
	of := func(name string, d *repb.Digest) *repb.DirectoryNode {
		return &repb.DirectoryNode{Name: name, Digest: d}
	}
	for _, dir := range []*repb.Directory{
		{}, wide,
		{Directories: []*repb.DirectoryNode{of("deep", names.Message(deep))}},
		{Directories: []*repb.DirectoryNode{of("..", leaf), of("/etc", leaf)}},
		{Directories: []*repb.DirectoryNode{of("twice", leaf), of("twice", leaf)}},
		{Directories: []*repb.DirectoryNode{of("b", nowhere), of("a", leaf)}},
		{Directories: []*repb.DirectoryNode{of("short", &repb.Digest{Hash: "abc", SizeBytes: -1}), of("none", nil)}},
	} {
		raw, err := proto.Marshal(dir)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		w := *w
		w.t = t
		d := w.add(digest.SHA256, raw)
		stream, err := w.cas.GetTree(t.Context(), &repb.GetTreeRequest{RootDigest: names.Message(d)})
		if err != nil {
			t.Fatal(err)
		}
		var all []*repb.Directory
		for err == nil {
			var page *repb.GetTreeResponse
			page, err = stream.Recv()
			all = append(all, page.GetDirectories()...)
		}
		if code := status.Code(err); err.Error() != "EOF" && code != codes.InvalidArgument {
			t.Fatal(err)
		}
		var want repb.Directory
		if proto.Unmarshal(raw, &want) == nil && len(all) > 0 && !proto.Equal(all[0], &want) {
			t.Errorf("the root is %v, want %v", all[0], &want)
		}
	})
}
