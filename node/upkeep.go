package node

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/buildnet/buildnet/node/host"
	"github.com/buildnet/buildnet/node/toolchain"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
)

const (
	// settle is how long a node is left alone after its start before its power
	// is measured again.
	settle = time.Minute
	// refineEvery is how often that is tried until the machine was idle once.
	refineEvery = 5 * time.Minute
	// restEvery is how often it is looked whether a node has nothing to run.
	restEvery = 5 * time.Second
)

// commonSpecs are the toolchains that a node looks at before anybody asks, and tells
// the mesh of. What a machine has installed in all takes four times as long, and
// is looked at when a step needs it.
var commonSpecs = []toolchain.Spec{{Spec: "cc:cc"}, {Spec: "cc:c++"}, {Spec: "link:cc"}, {Spec: "link:c++"}}

// chains are the toolchains of this machine that are known, in short.
type chains struct {
	mu    sync.Mutex
	short []string
}

func (c *chains) set(short []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.short = short
}

// list returns the first 8 hexadecimal digits of each digest.
func (c *chains) list() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.short)
}

// upkeep is what a node does beside its work: it tells the mesh what it has
// and what it can do.
func (p *parts) upkeep(ctx context.Context, n *Node) error {
	select {
	case <-ctx.Done():
		return nil
	case <-p.mesh.Ready():
	}
	if err := p.announceCache(ctx); err != nil && ctx.Err() == nil {
		n.cfg.Log.Warn("results of earlier builds are not announced", "error", err)
	}
	if n.cfg.Ephemeral {
		<-ctx.Done() // it is gone before anybody could use more of it
		return nil
	}
	p.nameToolchains(ctx, n)
	wait := settle
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		wait = refineEvery
		before := p.bpu()
		_, err := p.meter.Refine(ctx)
		if errors.Is(err, host.ErrBusy) || ctx.Err() != nil {
			continue
		}
		if err != nil {
			n.cfg.Log.Warn("this machine's power is not measured", "error", err)
		} else if p.bpu() != before {
			p.tell(n)
		}
		<-ctx.Done()
		return nil
	}
}

// nameToolchains works out the digests of the common toolchains, which also
// makes the first build's faster. It takes seconds of a slow machine, once until a
// compiler changes, and waits while that has something to run.
func (p *parts) nameToolchains(ctx context.Context, n *Node) {
	var short []string
	for _, s := range commonSpecs {
		p.rest(ctx)
		text, err := p.toolchains.Digest(ctx, s)
		if err != nil {
			continue // not every machine has a compiler
		}
		if _, hash, ok := strings.Cut(text, ":"); ok && len(hash) >= 8 {
			short = append(short, hash[:8])
		}
	}
	p.known.set(short)
	p.tell(n)
}

// rest returns when this node runs nothing, or ctx ends.
func (p *parts) rest(ctx context.Context) {
	for p.runner.running() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-time.After(restEvery):
		}
	}
}

// tell tells the mesh what this node can do.
func (p *parts) tell(n *Node) {
	n.mu.Lock()
	n.info.BPU = p.bpu()
	api := n.info.API
	n.mu.Unlock()
	c := p.capabilities(p.known.list())
	c.API = api
	p.mesh.SetCapabilities(c)
}

// announceCache announces the outputs of the results that this node has kept.
func (p *parts) announceCache(ctx context.Context) error {
	var entries []action.Entry
	if err := p.actions.Each(func(e action.Entry) bool {
		entries = append(entries, e)
		return ctx.Err() == nil
	}); err != nil {
		return err
	}
	for _, e := range entries {
		blobs, err := store.Closure(ctx, p.store, &e.Result)
		if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrCorrupt) {
			continue
		}
		if err != nil {
			return err
		}
		p.dht.Provide(blobs...)
		p.dht.ProvideRoot(e.Action)
	}
	return ctx.Err()
}
