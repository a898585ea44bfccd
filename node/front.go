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
	"github.com/buildnet/buildnet/store/chunks"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/makers"
)

// serveClients makes what serves clients of the Remote Execution API.
func (n *Node) serveClients(ctx context.Context, p *parts, settings config.Settings) ([]service, error) {
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
	f := n.newFront(p, settings)
	options.Services, options.Greeted = f.services(), f.tools.expect
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
	p.remaker = f.remaker
	return []service{{"reapi", server.Run}, {"remaking", f.remaker.Run}, {"clients' programs", f.tools.run}}, nil
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

// front is what serves clients. Its parts are made in the order of its fields, each of
// those before it.
type front struct {
	node     *Node
	parts    *parts
	settings config.Settings
	tools    *clientTools
	blobs    *frontBlobs
	makers   *makers.Makers
	remaker  *remake.Remaker
	results  *results.Store
	executes *execute.Service
}

func (n *Node) newFront(p *parts, settings config.Settings) *front {
	f := &front{node: n, parts: p, settings: settings, tools: newClientTools(p.toolchains, n.cfg.Log)}
	p.clientTools.Store(f.tools)
	f.blobs = newFrontBlobs(p, n.cfg.Log)
	f.makers = makers.New(p.store.CacheKV("reapi-makers"))
	f.remaker = f.newRemaker()
	f.results = f.newResults()
	f.executes = f.newExecution()
	return f
}

// services are what clients call.
func (f *front) services() []reapi.Service {
	return []reapi.Service{
		cas.New(f.blobs.Blobs, cas.Options{Mesh: f.blobs, Keep: f.hold, Lists: chunks.New(f.parts.store.CacheKV("reapi-chunks")), Remake: f.remaker.Remake}),
		results.NewActionCache(f.results), f.executes,
	}
}

// newRemaker has what is lost made again by what executes, which is made of it.
func (f *front) newRemaker() *remake.Remaker {
	return remake.New(remake.Options{
		Makers: f.makers.Of, Has: f.blobs.Has, Log: f.node.cfg.Log,
		Execute: func(ctx context.Context, m makers.Maker) error {
			return f.executes.Again(ctx, results.Key{Action: m.Action, Instance: m.Scope})
		},
	})
}

func (f *front) newResults() *results.Store {
	p := f.parts
	return results.New(results.Options{
		Self: p.mesh.Self(), Blobs: f.blobs.Blobs, Registry: p.registry, Own: p.actions, Uploads: p.uploads,
		Fetch: func(ctx context.Context, ds []digest.Digest, hints []peer.ID) error {
			_, err := p.dht.Fetch(ctx, ds, hints)
			return err
		},
		Provide: p.dht.Provide, Hold: func(ds ...digest.Digest) { f.hold(ds) }, Made: f.made, Said: f.said, Sign: p.runner.signed, Toolchains: f.tools.all,
		ShareUploads: f.settings.REAPI.Uploads == config.UploadsMesh, Answered: p.clients.Answered, Given: p.clients.Given, Log: f.node.cfg.Log,
	})
}

func (f *front) newExecution() *execute.Service {
	p := f.parts
	return execute.New(execute.Options{
		Self: p.mesh.Self(), Machine: platform.Machine{OS: runtime.GOOS, Arch: runtime.GOARCH}, Blobs: f.blobs.Blobs, Leases: p.store, Inputs: p.share,
		Trees: translate.New(f.blobs.Blobs, translate.Options{Bring: f.blobs.bring}), Results: f.results, Fetcher: p.dht, Fetch: f.blobs.Fetch,
		Actions: p.actions, Provide: p.dht.Provide, Scheduler: p.sched, Settle: p.settle, Members: p.mesh.Members,
		Toolchain: f.tools.of, Remake: f.remaker.Remake, Invocations: p.clients, Costs: p.costs, Hearsay: p.hearsay, Log: f.node.cfg.Log,
	})
}

// hold keeps what a client was told of.
func (f *front) hold(ds []digest.Digest) {
	// What is beyond the store's bound of promises may go: it is made again.
	_, _ = f.blobs.Keeper(f.parts.store).Keep(context.Background(), time.Now().Add(f.settings.Lease()), ds)
}

// made notes by which action blobs came to be.
func (f *front) made(k results.Key, blobs []digest.Digest) { f.note(f.makers.Note, k, blobs) }

// said notes what a client says of that.
func (f *front) said(k results.Key, blobs []digest.Digest) { f.note(f.makers.Claim, k, blobs) }

func (f *front) note(note func(makers.Maker, ...digest.Digest) error, k results.Key, blobs []digest.Digest) {
	if err := note(makers.Maker{Action: k.Action, Scope: k.Instance}, blobs...); err != nil {
		f.node.cfg.Log.Warn("what a client's action made is not made again if it is lost", "action", k.Action, "error", err)
	}
}
