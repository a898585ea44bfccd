package mesh

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
)

const (
	peersFile = "peers.json"
	// maxKnown bounds the members that are remembered, maxLast those of them
	// that a node without company asks.
	maxKnown = 4096
	maxLast  = 64
)

// known is a member as this node last met it.
type known struct {
	Peer peer.ID        `json:"peer"`
	Addr netip.AddrPort `json:"addr"`
	Seen time.Time      `json:"seen"`
}

func loadPeers(dir string) ([]known, error) {
	raw, err := os.ReadFile(filepath.Join(dir, peersFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read known members: %w", err)
	}
	var all []known
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, fmt.Errorf("read known members: %w", err)
	}
	return all, nil
}

func savePeers(dir string, all []known) error {
	raw, err := json.Marshal(all)
	if err != nil {
		return fmt.Errorf("save known members: %w", err)
	}
	return writeFile(filepath.Join(dir, peersFile), raw)
}

// remember reads what the last run knew. Without it the node still finds
// members by the LAN or a token.
func (m *Mesh) remember() {
	if m.opts.Home == "" {
		return
	}
	all, err := loadPeers(m.opts.Home)
	if err != nil {
		m.opts.Log.Warn("the members known before are forgotten", "err", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range all[:min(len(all), maxKnown)] {
		if k.Addr.IsValid() {
			m.known[k.Peer] = k
		}
	}
}

// note remembers where a member is.
func (m *Mesh) note(id peer.ID, addr netip.AddrPort) {
	m.mu.Lock()
	moved := m.known[id].Addr != addr
	m.known[id] = known{id, addr, time.Now()}
	if len(m.known) > maxKnown {
		delete(m.known, m.byAge()[maxKnown].Peer)
	}
	m.mu.Unlock()
	if moved {
		m.saveSoon()
	}
}

// byAge returns who is known, the latest first. The caller holds mu.
func (m *Mesh) byAge() []known {
	return slices.SortedFunc(maps.Values(m.known), func(a, b known) int {
		if c := b.Seen.Compare(a.Seen); c != 0 {
			return c
		}
		return a.Peer.Compare(b.Peer)
	})
}

// lastKnown are the addresses of known members that are not alive now.
func (m *Mesh) lastKnown() []netip.AddrPort {
	alive := map[peer.ID]bool{m.Self(): true}
	for _, x := range m.Members() {
		alive[x.ID] = alive[x.ID] || x.State == peer.Alive
	}
	r := m.currentRoll()
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []netip.AddrPort
	for _, k := range m.byAge() {
		if !alive[k.Peer] && !r.Banned(k.Peer) && len(out) < maxLast {
			out = append(out, k.Addr)
		}
	}
	return out
}

// keep writes what is to be remembered: one goroutine, so that files do not
// overtake each other.
func (m *Mesh) keep(ctx context.Context) {
	for {
		select {
		case done := <-m.saves:
			m.reply(done, m.save())
		case <-ctx.Done():
			select {
			case done := <-m.saves:
				m.reply(done, m.save())
			default:
			}
			return
		}
	}
}

func (m *Mesh) reply(done chan error, err error) {
	if done != nil {
		done <- err
	} else if err != nil {
		m.opts.Log.Error("known members are not saved", "err", err)
	}
}

func (m *Mesh) save() error {
	if m.opts.Home == "" {
		return nil
	}
	m.mu.Lock()
	all, r, d := m.byAge(), m.roll, m.decree
	m.mu.Unlock()
	err := errors.Join(savePeers(m.opts.Home, all), m.saveLaid(d, r))
	if r != m.saved {
		err = errors.Join(err, SaveCredentials(m.opts.Home, credentialsOf(*r)))
	}
	if err == nil {
		m.saved = r
	}
	return err
}

// saveSoon asks for a save without waiting; one that waits already sees what
// is new.
func (m *Mesh) saveSoon() {
	select {
	case m.saves <- nil:
	default:
	}
}

// errOver says that Run has returned, or was never called.
var errOver = errors.New("the node is no longer in its mesh")

// saveNow returns when all is on disk.
func (m *Mesh) saveNow(ctx context.Context) error {
	life, ok := m.begin()
	if !ok {
		return fmt.Errorf("save credentials: %w", errOver)
	}
	defer m.tasks.Done()
	done := make(chan error, 1)
	select {
	case m.saves <- done:
	case <-ctx.Done():
		return fmt.Errorf("save credentials: %w", ctx.Err())
	case <-life.Done():
		return fmt.Errorf("save credentials: %w", errOver)
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("save credentials: %w", ctx.Err())
	case <-life.Done():
		return fmt.Errorf("save credentials: %w", errOver)
	}
}

// Former counts the members that this node remembers, itself not included.
func (m *Mesh) Former() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.known)
}
