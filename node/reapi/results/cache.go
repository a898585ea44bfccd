package results

import (
	"context"
	"errors"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/buildnet/buildnet/node/reapi/caller"
	"github.com/buildnet/buildnet/node/reapi/fault"
	"github.com/buildnet/buildnet/node/reapi/names"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

// ActionCache is the service of that name, on a Store.
type ActionCache struct {
	repb.UnimplementedActionCacheServer
	store *Store
}

// NewActionCache returns the service.
func NewActionCache(s *Store) *ActionCache { return &ActionCache{store: s} }

// Register adds the service to r.
func (c *ActionCache) Register(r grpc.ServiceRegistrar) { repb.RegisterActionCacheServer(r, c) }

// Run runs the store.
func (c *ActionCache) Run(ctx context.Context) error { return c.store.Run(ctx) }

// KeyOf reads what a client calls a result.
func KeyOf(instance string, fn repb.DigestFunction_Value, d *repb.Digest) (Key, error) {
	if err := names.CheckInstance(instance); err != nil {
		return Key{}, err
	}
	f, err := names.Function(fn)
	if err != nil {
		return Key{}, err
	}
	act, err := names.Digest(f, d)
	return Key{Action: act, Instance: instance}, err
}

// GetActionResult implements repb.ActionCacheServer.
func (c *ActionCache) GetActionResult(ctx context.Context, r *repb.GetActionResultRequest) (*repb.ActionResult, error) {
	k, err := KeyOf(r.GetInstanceName(), r.GetDigestFunction(), r.GetActionDigest())
	if err != nil {
		return nil, fault.Status(err)
	}
	m, err := c.store.Find(ctx, k)
	if err != nil {
		return nil, fault.Status(err)
	}
	c.store.opts.Answered(k.Action, caller.Metadata(ctx), m.Result)
	return c.store.Inline(ctx, k.Action.Function(), m.Result, Inlining{r.GetInlineStdout(), r.GetInlineStderr(), r.GetInlineOutputFiles()}), nil
}

// UpdateActionResult implements repb.ActionCacheServer.
func (c *ActionCache) UpdateActionResult(ctx context.Context, r *repb.UpdateActionResultRequest) (*repb.ActionResult, error) {
	if caller.Of(ctx).Role < caller.Writer {
		return nil, fault.Errorf(codes.PermissionDenied, "only clients with the role writer say what came of an action: see reapi in node.yaml")
	}
	k, err := KeyOf(r.GetInstanceName(), r.GetDigestFunction(), r.GetActionDigest())
	if err != nil {
		return nil, fault.Status(err)
	}
	if r.GetActionResult().GetExitCode() != 0 {
		return nil, fault.Errorf(codes.InvalidArgument, "the action failed with exit code %d: only what succeeded is kept", r.GetActionResult().GetExitCode())
	}
	m, missing, err := c.store.said(ctx, k, r.GetActionResult())
	switch {
	case err != nil:
		return nil, fault.Status(err)
	case len(missing) > 0:
		return nil, fault.Missing(missing)
	}
	toolchains, err := c.store.opts.Toolchains(ctx)
	if err == nil {
		err = c.store.Upload(ctx, k, toolchains[0], m)
	}
	if err != nil {
		return nil, fault.Status(err)
	}
	c.store.opts.Given(k.Action, caller.Metadata(ctx), m.Result)
	return m.Result, nil
}

// said is what a client says came of an action, and which blobs of it are not here.
func (s *Store) said(ctx context.Context, k Key, r *repb.ActionResult) (*Made, []digest.Digest, error) {
	here, err := s.opts.Blobs.Has(ctx, []digest.Digest{k.Action})
	if err != nil {
		return nil, nil, err
	}
	if !here[0] {
		return nil, []digest.Digest{k.Action}, nil
	}
	if r, err = s.outlined(ctx, k.Action.Function(), r); err != nil {
		return nil, nil, err
	}
	return s.Made(ctx, k.Action.Function(), r)
}

// Made finds all that a result names in fn, and which of it is not here.
func (s *Store) Made(ctx context.Context, fn digest.Function, r *repb.ActionResult) (*Made, []digest.Digest, error) {
	release, err := s.turns.take(ctx, treeBytes(r))
	if err != nil {
		return nil, nil, err
	}
	defer release()
	all, err := direct(fn, r)
	if err != nil {
		return nil, nil, err
	}
	n := &naming{store: s, seen: map[digest.Digest]bool{}}
	if err := n.add(ctx, all...); err != nil {
		return nil, nil, err
	}
	for _, d := range r.GetOutputDirectories() {
		if len(n.missing) > 0 {
			break
		}
		if err := n.below(ctx, fn, d); err != nil {
			return nil, nil, err
		}
	}
	return &Made{Result: r, Blobs: n.blobs}, n.missing, nil
}

// naming collects blobs by both of their names, each once.
type naming struct {
	store   *Store
	seen    map[digest.Digest]bool
	blobs   []Named
	missing []digest.Digest
}

func (n *naming) add(ctx context.Context, ds ...digest.Digest) error {
	here, err := n.store.opts.Blobs.Has(ctx, ds)
	if err != nil {
		return err
	}
	for i, d := range ds {
		if n.seen[d] {
			continue
		}
		n.seen[d] = true
		native, err := n.store.opts.Blobs.Native(ctx, d)
		switch {
		case !here[i], errors.Is(err, store.ErrNotFound):
			n.missing = append(n.missing, d)
		case err != nil:
			return err
		default:
			n.blobs = append(n.blobs, Named{d, native})
		}
	}
	return nil
}
