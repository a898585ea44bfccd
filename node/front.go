package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"runtime"
	"syscall"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/node/config"
	"github.com/buildnet/buildnet/node/reapi"
	"github.com/buildnet/buildnet/node/reapi/caller"
	"github.com/buildnet/buildnet/node/reapi/cas"
	"github.com/buildnet/buildnet/node/reapi/execute"
	"github.com/buildnet/buildnet/node/reapi/platform"
	"github.com/buildnet/buildnet/node/reapi/remake"
	"github.com/buildnet/buildnet/node/reapi/results"
	"github.com/buildnet/buildnet/node/reapi/translate"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/alias"
	"github.com/buildnet/buildnet/store/chunks"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/makers"
)

// front is what serves clients of the Remote Execution API.
func (n *Node) front(ctx context.Context, p *parts, settings config.Settings) ([]service, error) {
	s := settings.REAPI
	asked := s.Listen
	if n.cfg.REAPI != "" {
		asked = n.cfg.REAPI
	}
	if asked == config.ReapiOff || n.cfg.Machine.Deaf {
		return nil, nil
	}
	options, err := reapiOptions(s)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	options.Listen, options.Log = asked, n.cfg.Log
	tools := newClientTools(p.toolchains)
	services, remaker := n.reapiServices(p, settings, tools)
	options.Services, options.Greeted = services, tools.expect
	server, err := reapi.Listen(ctx, options)
	if asked == "" && errors.Is(err, syscall.EADDRINUSE) {
		n.cfg.Log.Warn("clients of the Remote Execution API are not served: another node of this machine does it", "error", err)
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	n.mu.Lock()
	n.info.REAPI = server.Addr()
	n.mu.Unlock()
	p.remaker = remaker
	return []service{{"reapi", server.Run}, {"remaking", remaker.Run}, {"clients' programs", tools.run}}, nil
}

func reapiOptions(s config.REAPI) (reapi.Options, error) {
	o := reapi.Options{Open: caller.Writer}
	if s.Uploads == config.UploadsOff {
		o.Open = caller.Builder
	}
	for _, k := range s.Keys {
		key := reapi.Key{Name: k.Name, Secret: k.Secret, Role: caller.Builder}
		if k.Writer && s.Uploads != config.UploadsOff {
			key.Role = caller.Writer
		}
		o.Keys = append(o.Keys, key)
	}
	if s.Cert != "" {
		cert, err := tls.LoadX509KeyPair(s.Cert, s.Key)
		if err != nil {
			return o, fmt.Errorf("certificate of the Remote Execution API: %w", err)
		}
		o.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	}
	return o, nil
}

// reapiServices are blobs, results and execution, in the order in which they need
// each other.
func (n *Node) reapiServices(p *parts, settings config.Settings, tools *clientTools) ([]reapi.Service, *remake.Remaker) {
	s := settings.REAPI
	f := &frontBlobs{Blobs: alias.New(p.store, p.store.CacheKV("alias")), parts: p}
	hold := func(ds []digest.Digest) {
		// What is beyond the store's bound of promises may go: it is made again.
		_, _ = f.Keeper(p.store).Keep(context.Background(), time.Now().Add(settings.Lease()), ds)
	}
	table := makers.New(p.store.CacheKV("reapi-makers"))
	made := func(k results.Key, blobs []digest.Digest) {
		if err := table.Note(makers.Maker{Action: k.Action, Scope: k.Instance}, blobs...); err != nil {
			n.cfg.Log.Warn("what a client's action made is not made again if it is lost", "action", k.Action, "error", err)
		}
	}
	var executes *execute.Service
	remaker := remake.New(remake.Options{
		Makers: table.Of, Has: f.Has, Log: n.cfg.Log,
		Execute: func(ctx context.Context, m makers.Maker) error {
			return executes.Again(ctx, results.Key{Action: m.Action, Instance: m.Scope})
		},
	})
	known := results.New(results.Options{
		Self: p.mesh.Self(), Blobs: f.Blobs, Registry: p.registry, Own: p.actions, Uploads: p.uploads,
		Fetch: func(ctx context.Context, ds []digest.Digest, hints []peer.ID) error {
			_, err := p.dht.Fetch(ctx, ds, hints)
			return err
		},
		Provide: p.dht.Provide, Hold: func(ds ...digest.Digest) { hold(ds) }, Made: made, Sign: p.runner.signed, Toolchains: tools.all,
		ShareUploads: s.Uploads == config.UploadsMesh, Log: n.cfg.Log,
	})
	executes = execute.New(execute.Options{
		Self: p.mesh.Self(), Machine: platform.Machine{OS: runtime.GOOS, Arch: runtime.GOARCH}, Blobs: f.Blobs, Leases: p.store,
		Trees: translate.New(f.Blobs, translate.Options{Bring: f.bring}), Results: known, Fetcher: p.dht, Fetch: f.Fetch,
		Actions: p.actions, Provide: p.dht.Provide, Scheduler: p.sched, Settle: p.settle, Members: p.mesh.Members,
		Toolchain: tools.of, Remake: remaker.Remake, History: p.history, Costs: p.costs, Hearsay: p.hearsay, Moved: p.moved, Log: n.cfg.Log,
	})
	blobs := cas.New(f.Blobs, cas.Options{Mesh: f, Keep: hold, Lists: chunks.New(p.store.CacheKV("reapi-chunks")), Remake: remaker.Remake})
	return []reapi.Service{blobs, results.NewActionCache(known), executes}, remaker
}

// frontBlobs are the blobs that clients name, here and in the mesh.
type frontBlobs struct {
	*alias.Blobs
	parts *parts
}

var _ cas.Mesh = (*frontBlobs)(nil)

// Known implements cas.Mesh. Whoever has a blob keeps it for its lease.
func (f *frontBlobs) Known(ctx context.Context, ds []digest.Digest) ([]bool, error) {
	known := make([]bool, len(ds))
	if f.parts.solitary() {
		return known, nil
	}
	natives := make([]digest.Digest, len(ds))
	var asked []digest.Digest
	for i, d := range ds {
		native, err := f.Native(ctx, d)
		switch {
		case err == nil:
			natives[i] = native
			asked = append(asked, native)
		case !errors.Is(err, store.ErrNotFound):
			return nil, err
		}
	}
	gone, err := f.parts.dht.Keep(ctx, asked)
	if err != nil {
		return nil, err
	}
	lost := make(map[digest.Digest]bool, len(gone))
	for _, d := range gone {
		lost[d] = true
	}
	for i, native := range natives {
		known[i] = !native.IsZero() && !lost[native]
	}
	return known, nil
}

// Fetch implements cas.Mesh.
func (f *frontBlobs) Fetch(ctx context.Context, ds []digest.Digest) error {
	if f.parts.solitary() {
		return fmt.Errorf("fetch for a client: %w", store.ErrNotFound)
	}
	natives := make([]digest.Digest, 0, len(ds))
	var unknown error
	for _, d := range ds {
		native, err := f.Native(ctx, d)
		if err != nil {
			unknown = err
			continue
		}
		natives = append(natives, native)
	}
	if _, err := f.parts.dht.Fetch(ctx, natives, nil); err != nil {
		return fmt.Errorf("fetch for a client: %w: %w", err, store.ErrNotFound)
	}
	return unknown
}

// bring fetches what the mesh has of native blobs.
func (f *frontBlobs) bring(ctx context.Context, natives []digest.Digest) error {
	if f.parts.solitary() {
		return nil
	}
	_, _ = f.parts.dht.Fetch(ctx, natives, nil) // whoever asked looks what has come
	return ctx.Err()
}
