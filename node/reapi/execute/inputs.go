package execute

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/node/reapi/fault"
	"github.com/buildnet/buildnet/node/reapi/translate"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

// maxDirectory bounds a Directory message, as translate does.
const maxDirectory = 16 << 20

// inputs translates the input root of a task, and has all of it stay for the operation.
func (s *Service) inputs(ctx context.Context, o *operation, t *task, root digest.Digest) error {
	native, missing, err := s.opts.Trees.HeldRoot(ctx, root, o.inputs.Hold)
	switch {
	case errors.Is(err, translate.ErrMalformed), errors.Is(err, translate.ErrTooLarge):
		return fault.Errorf(codes.InvalidArgument, "input root: %v", err)
	case err != nil:
		return fmt.Errorf("input root: %w", err)
	case len(missing) > 0:
		return absent(missing)
	}
	if t.step.Inputs, err = s.outfit(ctx, o, t, native); err != nil {
		return fmt.Errorf("input root: %w", err)
	}
	return nil
}

// outfit adds to an input root the directories that the older field names as
// outputs. The specification has their parents alone made; but Bazel makes them
// where it executes itself, its rules rely on it (bazelbuild/bazel#6393), and other
// servers do the same.
func (s *Service) outfit(ctx context.Context, op *operation, t *task, root digest.Digest) (digest.Digest, error) {
	tree, changed := action.NewTree(messages{s.opts.Blobs}, root), false
	if t.whole {
		tree, changed = action.NewTree(messages{s.opts.Blobs}, digest.Digest{}), true
		if err := tree.Put(ctx, action.Output{Path: wholeRoot, Kind: action.Directory, Digest: root}); err != nil {
			return digest.Digest{}, err
		}
	}
	for _, p := range t.step.Outputs {
		for _, o := range t.outputs[p] {
			if o.as != asDirectory {
				continue
			}
			changed = true
			if err := tree.Mkdir(ctx, p); err != nil {
				if errors.Is(err, action.ErrInvalid) {
					return digest.Digest{}, fault.Errorf(codes.InvalidArgument, "output directory %q: %v", o.spelled, err)
				}
				return digest.Digest{}, err
			}
		}
	}
	if !changed {
		return root, nil
	}
	native, blobs, err := tree.Encode()
	if err != nil {
		return digest.Digest{}, err
	}
	for _, b := range blobs {
		op.inputs.Hold(b.Digest)
		if err := s.opts.Blobs.Put(ctx, b.Digest, bytes.NewReader(b.Content)); err != nil {
			return digest.Digest{}, err
		}
	}
	return native, nil
}

// messages reads Directory messages.
type messages struct{ blobs store.Blobs }

// Directory implements action.Directories.
func (m messages) Directory(ctx context.Context, d digest.Digest) (*repb.Directory, error) {
	content, err := store.ReadAll(ctx, m.blobs, d, maxDirectory)
	if err != nil {
		return nil, err
	}
	dir := &repb.Directory{}
	if err := proto.Unmarshal(content, dir); err != nil {
		return nil, fmt.Errorf("directory %v: %w: %w", d, action.ErrInvalid, err)
	}
	return dir, nil
}
