package worktree

import (
	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

// rawDir is an output directory with a file of any name, as only a hostile peer
// makes it.
func (b *bench) rawDir(name string) action.Output {
	b.t.Helper()
	content := &repb.Directory{Files: []*repb.FileNode{{Name: name, Digest: action.ReapiDigest(digest.Of(digest.BLAKE3, nil))}}}
	blob, err := action.EncodeBlob(content)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := store.AddBytes(b.t.Context(), b.blobs, blob.Content); err != nil {
		b.t.Fatal(err)
	}
	return action.Output{Path: "dist", Kind: action.Directory, Digest: blob.Digest}
}
