package build

import (
	"bytes"
	"context"
	"fmt"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

// maxDirectory bounds one Directory message, in bytes: 40,000 entries.
const maxDirectory = 4 << 20

// directories reads Directory messages of the store and remembers them for
// the length of a build. It is used by one goroutine.
type directories struct {
	blobs store.Blobs
	known map[digest.Digest]*repb.Directory
	kept  map[digest.Digest]bool // blobs that keep has stored
}

func newDirectories(blobs store.Blobs) *directories {
	return &directories{blobs: blobs, known: map[digest.Digest]*repb.Directory{}, kept: map[digest.Digest]bool{}}
}

// Directory implements action.Directories.
func (d *directories) Directory(ctx context.Context, key digest.Digest) (*repb.Directory, error) {
	if dir, ok := d.known[key]; ok {
		return dir, nil
	}
	content, err := store.ReadAll(ctx, d.blobs, key, maxDirectory)
	if err != nil {
		return nil, err
	}
	var dir repb.Directory
	if err := proto.Unmarshal(content, &dir); err != nil {
		return nil, fmt.Errorf("directory %v: %w", key, err)
	}
	d.known[key] = &dir
	return &dir, nil
}

// keep stores blobs, each once in a build, under the build's lease.
func (d *directories) keep(ctx context.Context, lease store.Lease, blobs []action.Blob) error {
	for _, b := range blobs {
		if d.kept[b.Digest] {
			continue
		}
		lease.Hold(b.Digest)
		if err := d.blobs.Put(ctx, b.Digest, bytes.NewReader(b.Content)); err != nil {
			return fmt.Errorf("keep %v: %w", b.Digest, err)
		}
		d.kept[b.Digest] = true
	}
	return nil
}
