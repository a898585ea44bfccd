package reapi

import (
	"context"
	"crypto/sha256"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/buildnet/buildnet/node/reapi/caller"
)

// door lets calls in. It stands where gRPC has read the headers of a call and
// nothing else, so that who may not call cannot make this process keep anything.
type door struct {
	// keys are by their secrets' hashes: how long a look-up takes says nothing
	// about the secrets then.
	keys map[[sha256.Size]byte]caller.Caller
	// open is who calls where there are no keys.
	open caller.Caller
}

func newDoor(o *Options) *door {
	d := &door{keys: make(map[[sha256.Size]byte]caller.Caller, len(o.Keys)), open: caller.Caller{Role: o.Open}}
	if o.Open == 0 {
		d.open.Role = caller.Builder
	}
	for _, k := range o.Keys {
		d.keys[sha256.Sum256([]byte(k.Secret))] = caller.Caller{Name: k.Name, Role: k.Role}
	}
	return d
}

// tap implements tap.ServerInHandle.
func (d *door) tap(ctx context.Context, call *tap.Info) (context.Context, error) {
	who, ok := d.who(call.Header)
	if !ok && !strings.HasPrefix(call.FullMethodName, "/"+healthpb.Health_ServiceDesc.ServiceName+"/") {
		return nil, status.Error(codes.Unauthenticated, "this server needs a key: send it as `authorization: Bearer KEY` or `x-api-key: KEY`; Bazel has --remote_header")
	}
	c := connOf(ctx)
	if ok && len(d.keys) > 0 {
		c.gate.become(c, "key "+who.Name)
	}
	return c.enter(caller.With(ctx, who), call.Header)
}

func (d *door) who(header metadata.MD) (caller.Caller, bool) {
	if len(d.keys) == 0 {
		return d.open, true
	}
	secrets := header.Get("x-api-key")
	for _, v := range header.Get("authorization") {
		if scheme, secret, ok := strings.Cut(v, " "); ok && strings.EqualFold(scheme, "bearer") {
			secrets = append(secrets, secret)
		}
	}
	for _, secret := range secrets {
		if who, ok := d.keys[sha256.Sum256([]byte(secret))]; ok {
			return who, true
		}
	}
	return caller.Caller{}, false
}
