package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/buildnet/buildnet/mesh"
	"github.com/buildnet/buildnet/node/config"
	"github.com/buildnet/buildnet/node/worktree"
	"github.com/buildnet/buildnet/sched"
	"github.com/buildnet/buildnet/store/disk"
)

// leaveTime bounds how long a node waits for the others to hear that it goes.
const leaveTime = time.Second

// Run is the node's life: it returns when ctx ends or Stop is called, after a
// drain, and when the node cannot go on. It returns ErrHomeInUse when another
// process has the home, and mesh.ErrNoMember when nobody answers an invitation.
func (n *Node) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	n.mu.Lock()
	n.stop = stop
	if n.down {
		stop()
	}
	n.mu.Unlock()
	settings, err := config.LoadSettings(n.cfg.Home)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if err := makeHome(n.cfg.Home); err != nil {
		return err
	}
	blobs, err := disk.Open(filepath.Join(n.cfg.Home, "store"), disk.Options{MaxBytes: settings.CacheMaxBytes, Log: n.cfg.Log})
	if err != nil {
		return err
	}
	// The store outlives everything that uses it.
	return errors.Join(n.live(ctx, settings, blobs), blobs.Close())
}

// live is a life in one mesh after the other: who leaves one goes on alone.
func (n *Node) live(ctx context.Context, settings config.Settings, blobs *disk.Store) error {
	for {
		left, err := n.serve(ctx, settings, blobs)
		if err != nil || !left {
			return err
		}
		n.cfg.Join, n.cfg.Mesh = "", ""
	}
}

// serve runs the node in its mesh until ctx ends, or until it leaves the mesh.
func (n *Node) serve(ctx context.Context, settings config.Settings, blobs *disk.Store) (left bool, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	p, err := n.assemble(ctx, settings, blobs)
	if err != nil {
		return false, err
	}
	defer p.endExec()
	o := &offer{node: n, parts: p, since: time.Now(), stop: stop}
	door, err := n.door(ctx, o)
	if err != nil {
		return false, errors.Join(err, p.mesh.Close())
	}
	front, err := n.serveClients(ctx, p, settings)
	if err != nil {
		return false, errors.Join(err, p.mesh.Close())
	}
	n.mu.Lock()
	n.api = o
	n.mu.Unlock()
	p.tell(n)
	err = runStages(ctx, append(p.services(n), append(door, front...))...)
	p.owner.close(n)
	n.mu.Lock()
	n.api = nil
	n.mu.Unlock()
	if o.left.Load() { // whatever the mesh has saved since
		err = errors.Join(err, mesh.ForgetCredentials(n.cfg.Home))
	}
	return o.left.Load(), err
}

// greet tells when the node takes work: once it is in its mesh, whose secret
// the home keeps from then on.
//
// A node that was started for one build takes it at once: what is done already
// needs no mesh.
func (n *Node) greet(ctx context.Context, p *parts) error {
	if n.cfg.Ephemeral {
		n.readyOnce.Do(func() { close(n.ready) })
	}
	select {
	case <-ctx.Done():
		return nil
	case <-p.mesh.Ready():
	}
	if n.cfg.Join != "" {
		if err := mesh.SaveCredentials(n.cfg.Home, p.credentials); err != nil {
			return err
		}
	}
	n.readyOnce.Do(func() { close(n.ready) })
	<-ctx.Done()
	return nil
}

// settle waits until the node is in its mesh, or alone, and says so if it is
// alone although it has met others before.
func (p *parts) settle(ctx context.Context) string {
	select {
	case <-ctx.Done():
		return ""
	case <-p.mesh.Ready():
	}
	return p.alone()
}

// note says what is wrong with the mesh, or else with this machine; "" if nothing is.
func (p *parts) note() string {
	if said := p.alone(); said != "" {
		return said
	}
	if tools := p.clientTools.Load(); tools != nil {
		return tools.note()
	}
	return ""
}

// alone says that no member of the mesh answers although some are known; "" if
// one does.
func (p *parts) alone() string {
	if former := p.mesh.Former(); len(p.alive()) == 1 && former > 0 {
		return fmt.Sprintf("no member of mesh %s answers (%d are known): this machine works alone", p.credentials.Mesh, former)
	}
	return ""
}

// farewell tells the members that this node goes, when all that uses the mesh
// has stopped.
func farewell(ctx context.Context, p *parts) error {
	<-ctx.Done()
	if len(p.alive()) == 1 {
		return nil // there is nobody to tell
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTime)
	defer cancel()
	_ = p.mesh.Leave(ctx) // whoever does not hear it notices the silence
	return nil
}

// drainTime bounds how long a node that goes waits for the actions in its
// hands; their leaders give them to others then.
const drainTime = 10 * time.Second

// schedule runs the scheduler; when ctx ends it takes no more work and first
// finishes what it has.
func schedule(ctx context.Context, s *sched.Service) error {
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- s.Run(running) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	draining, cancel := context.WithTimeout(running, drainTime)
	defer cancel()
	_ = s.Drain(draining) // what is left is ended by Run, and run by others
	stop()
	return <-ended
}

// watch runs the watch on working trees. Without it trees are walked, which is
// slower and no less right.
func watch(ctx context.Context, w *worktree.Watcher, log *slog.Logger) error {
	if err := w.Run(ctx); err != nil && ctx.Err() == nil {
		log.Warn("working trees are not watched", "error", err)
	}
	<-ctx.Done()
	return nil
}
