// Package node is the one place that knows every part: it makes the node of
// them, starts them in order and stops them in the reverse. Start reading at
// Node.Run.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/buildnet/buildnet/mesh"
	"github.com/buildnet/buildnet/mesh/join"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/config"
	"github.com/buildnet/buildnet/store/disk"
)

// ErrConfig is matched by errors of a Config or of a home that do not go away
// by trying again.
var ErrConfig = errors.New("bad configuration")

// ErrHomeInUse says that another process runs a node on the home.
var ErrHomeInUse = disk.ErrLocked

// Config is what a node is told. The zero value of everything but Home is
// right for most.
type Config struct {
	// Home is an absolute path; it is made if it is not there.
	Home string
	// Listen is the HOST:PORT of the mesh, API that of HTTP; "" are the
	// defaults. API "none" opens no port.
	Listen, API string
	// REAPI is the HOST:PORT of the Remote Execution API; "" is what node.yaml says,
	// or the default. NoREAPI opens no port.
	REAPI string
	// Mesh names the mesh that a first node makes.
	Mesh string
	// Join is an invitation token.
	Join string
	// Slots is how many actions run at once; 0 takes what the machine has.
	Slots int
	// Ephemeral nodes are started by a build for itself: they take any port if
	// Listen's is taken, and wait only JoinWithin for their mesh.
	Ephemeral bool
	// Machine is what stands in for the machine; zero is the machine itself.
	Machine Machine
	Log     *slog.Logger
}

// JoinWithin is how long an ephemeral node waits for a member of its mesh.
const JoinWithin = time.Second

// Info is what a running node is.
type Info struct {
	Peer   peer.ID
	Name   string
	Listen netip.AddrPort
	API    string
	REAPI  string // where clients of the Remote Execution API are served; "" is nowhere
	Mesh   string
	Slots  int
	BPU    float64
}

// Node is one machine's part in a mesh.
type Node struct {
	cfg       Config
	ready     chan struct{}
	readyOnce sync.Once

	mu   sync.Mutex
	info Info
	api  api.Node           // of the present life
	stop context.CancelFunc // of Run
	down bool
}

// New checks cfg. It starts nothing and touches no file.
func New(cfg Config) (*Node, error) {
	if !filepath.IsAbs(cfg.Home) {
		return nil, fmt.Errorf("%w: home %q is not an absolute path", ErrConfig, cfg.Home)
	}
	if cfg.Slots < 0 || cfg.Slots > maxSlots {
		return nil, fmt.Errorf("%w: %d slots; --slots takes 1 to %d", ErrConfig, cfg.Slots, maxSlots)
	}
	if cfg.Mesh != "" && len(cfg.Mesh) > join.MaxName {
		return nil, fmt.Errorf("%w: mesh name %q is longer than %d bytes", ErrConfig, cfg.Mesh, join.MaxName)
	}
	if cfg.Listen == "" {
		cfg.Listen = config.DefaultListen
	}
	if _, err := netip.ParseAddrPort(cfg.Listen); err != nil {
		return nil, fmt.Errorf("%w: listen address %q: %w; write it like 0.0.0.0:7946", ErrConfig, cfg.Listen, err)
	}
	switch cfg.API {
	case "":
		cfg.API = config.DefaultAPI
	case NoAPI:
		cfg.API = ""
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Node{cfg: cfg, ready: make(chan struct{}), stop: func() {}}, nil
}

// NoAPI as Config.API opens no TCP port.
const NoAPI = "none"

// NoREAPI as Config.REAPI serves no clients of the Remote Execution API.
const NoREAPI = config.ReapiOff

// maxSlots bounds Slots: more processes than any machine has cores.
const maxSlots = 4096

// Ready is closed once the node takes work.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// Info says what the node is. It is complete once Ready is closed.
func (n *Node) Info() Info {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.info
}

// API is the node as its clients see it, in this process; nil unless it lives.
// Calls wait for the mesh where they need it, and must have returned before Run
// is asked to end.
func (n *Node) API() api.Node {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.api
}

// Stop asks Run to drain and to return.
func (n *Node) Stop() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down = true
	n.stop()
}

// makeHome makes the home, for its owner alone.
func makeHome(home string) error {
	mode := os.FileMode(0o700)
	if home == config.SystemHome {
		mode = 0o711 // others reach the socket in it
	}
	if err := os.MkdirAll(home, mode); err != nil {
		return fmt.Errorf("%w: make home: %w; choose another with --home", ErrConfig, err)
	}
	return nil
}

// membership reads who this node is and which mesh it is in, or makes it.
func (n *Node) membership(p *parts) (mesh.Identity, mesh.Credentials, []netip.AddrPort, error) {
	id, err := mesh.LoadOrCreateIdentity(n.cfg.Home)
	if err != nil {
		return id, mesh.Credentials{}, nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if n.cfg.Join != "" {
		t, err := join.ParseToken(n.cfg.Join)
		if err != nil {
			return id, mesh.Credentials{}, nil, fmt.Errorf("%w: --join: %w", ErrConfig, err)
		}
		if n.cfg.Mesh != "" && n.cfg.Mesh != t.Mesh {
			return id, mesh.Credentials{}, nil, fmt.Errorf("%w: the token is of mesh %q, not %q; leave --mesh out", ErrConfig, t.Mesh, n.cfg.Mesh)
		}
		if c, err := mesh.LoadCredentials(n.cfg.Home); err == nil && invitedAgain(c, t) {
			return id, c, t.Addrs, nil
		}
		return id, mesh.Credentials{Mesh: t.Mesh, Secret: t.Secret}, t.Addrs, nil
	}
	c, err := mesh.LoadCredentials(n.cfg.Home)
	if errors.Is(err, os.ErrNotExist) {
		name := n.cfg.Mesh
		if name == "" {
			name = defaultMesh
		}
		c, p.founder = mesh.NewCredentials(name), true
		return id, c, nil, mesh.SaveCredentials(n.cfg.Home, c)
	}
	if err != nil {
		return id, c, nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if n.cfg.Mesh != "" && n.cfg.Mesh != c.Mesh {
		return id, c, nil, fmt.Errorf("%w: this home is in mesh %q; leave it first with `buildnet mesh leave`", ErrConfig, c.Mesh)
	}
	return id, c, nil, nil
}

// invitedAgain reports whether a token is of the mesh that the home is in, now
// or before a revocation: then the home knows more than the token.
func invitedAgain(c mesh.Credentials, t join.Token) bool {
	if c.Mesh != t.Mesh {
		return false
	}
	return c.Secret == t.Secret || c.Roll != nil && slices.Contains(c.Roll.Former, t.Secret)
}

// defaultMesh is the name of a mesh that nobody named.
const defaultMesh = "buildnet"
