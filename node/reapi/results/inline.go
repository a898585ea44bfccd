package results

import (
	"context"
	"slices"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/node/reapi/names"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

// maxInline bounds all that is inlined in one answer, in bytes: a message of gRPC
// clients is at most 4 MiB.
const maxInline = 1 << 20

// Inlining is what a client wants to have within its answer.
type Inlining struct {
	Stdout, Stderr bool
	Files          []string
}

// Inline returns r with what is wanted of it, as far as there is room and it can be
// read; r stays as it is. What is not inlined the client reads by its digest.
func (s *Store) Inline(ctx context.Context, fn digest.Function, r *repb.ActionResult, w Inlining) *repb.ActionResult {
	if !w.Stdout && !w.Stderr && len(w.Files) == 0 {
		return r
	}
	c, _ := proto.Clone(r).(*repb.ActionResult)
	room := int64(maxInline)
	read := func(m *repb.Digest) []byte {
		d, err := names.Digest(fn, m)
		if m == nil || err != nil || d.Size() > room {
			return nil
		}
		content, err := store.ReadAll(ctx, s.opts.Blobs, d, room)
		if err != nil {
			return nil
		}
		room -= d.Size()
		return content
	}
	if w.Stdout {
		c.StdoutRaw = read(c.GetStdoutDigest())
	}
	if w.Stderr {
		c.StderrRaw = read(c.GetStderrDigest())
	}
	for _, f := range c.GetOutputFiles() {
		if slices.Contains(w.Files, f.GetPath()) {
			f.Contents = read(f.GetDigest())
		}
	}
	return c
}
