package mesh

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/buildnet/buildnet/mesh/decree"
	"github.com/buildnet/buildnet/mesh/join"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/mesh/roll"
)

const laidFile = "decree.json"

// laid is the file with what was laid down. Sum names the secret that the mesh
// had then: of another mesh, also one of the same name, nothing is taken over.
type laid struct {
	Sum    []byte        `json:"sum"`
	Decree decree.Decree `json:"decree"`
}

// LaidDown is what a member has laid down for the whole mesh.
type LaidDown struct {
	Text []byte
	By   peer.ID
	At   time.Time // by the clock of By
}

// LaidDown returns what holds; nil if there is nothing, or it was taken back.
func (m *Mesh) LaidDown() *LaidDown {
	d := m.currentDecree()
	if len(d.Text) == 0 {
		return nil
	}
	return &LaidDown{Text: bytes.Clone(d.Text), By: d.By, At: time.Unix(d.At, 0)}
}

// LayDown has a text hold for the whole mesh from now on, in the place of the
// one before; an empty one takes that back. It returns when that is on disk and
// every member that can be reached has been told; the others hear of it when
// they meet one. What it means is up to who reads it.
func (m *Mesh) LayDown(ctx context.Context, text []byte) error {
	err := m.changeDecree(ctx, func(d decree.Decree) (decree.Decree, error) {
		return d.Next(m.currentRoll().Mesh, text, time.Now(), decree.Author{ID: m.Self(), Sign: m.opts.Identity.Sign})
	})
	if err != nil {
		return err
	}
	m.tellAll(ctx)
	return nil
}

func (m *Mesh) currentDecree() decree.Decree {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.decree
}

// believe takes over what a member told, if it is newer, and passes it on.
func (m *Mesh) believe(ctx context.Context, told decree.Decree) error {
	before := m.currentDecree().Version
	err := m.changeDecree(ctx, func(d decree.Decree) (decree.Decree, error) {
		return d.Adopt(m.currentRoll().Mesh, told)
	})
	if errors.Is(err, decree.ErrRefused) {
		m.opts.Log.Warn("what a member says holds for the mesh is not believed", "err", err)
		return nil // its streams are as good as before
	}
	if err != nil || m.currentDecree().Version == before {
		return err
	}
	m.mu.Lock()
	life := m.ctx
	m.mu.Unlock()
	m.background(life, func() { m.relay(life) })
	return nil
}

// changeDecree replaces the decree and saves it. f may be called again when it
// has changed meanwhile.
func (m *Mesh) changeDecree(ctx context.Context, f func(decree.Decree) (decree.Decree, error)) error {
	for {
		before := m.currentDecree()
		after, err := f(before)
		if err != nil || after.Order(before) == 0 {
			return err
		}
		m.mu.Lock()
		current := m.decree.Order(before) == 0
		if current {
			m.decree = after
		}
		m.mu.Unlock()
		if current {
			return m.saveNow(ctx)
		}
	}
}

// recall reads what was laid down before this run.
func (m *Mesh) recall() {
	if m.opts.Home == "" {
		return
	}
	l, err := loadLaid(m.opts.Home)
	if err == nil && len(l.Sum) > 0 && hadSecret(m.currentRoll(), l.Sum) {
		err = l.Decree.Verify(m.currentRoll().Mesh)
		if err == nil {
			m.mu.Lock()
			m.decree = l.Decree
			m.mu.Unlock()
			m.savedDecree = l.Decree
		}
	}
	if err != nil {
		m.opts.Log.Warn("what was laid down for the mesh is forgotten until a member tells it", "err", err)
	}
}

func loadLaid(dir string) (l laid, err error) {
	raw, err := os.ReadFile(filepath.Join(dir, laidFile))
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return l, fmt.Errorf("read what was laid down: %w", err)
	}
	if err := json.Unmarshal(raw, &l); err != nil {
		return l, fmt.Errorf("read what was laid down: %w", err)
	}
	return l, nil
}

// saveLaid writes the decree if it has changed. The goroutine of keep alone
// calls it.
func (m *Mesh) saveLaid(d decree.Decree, r *roll.Roll) error {
	sum := r.Sum()
	if d.Version == 0 || d.Order(m.savedDecree) == 0 && r == m.saved {
		return nil
	}
	raw, err := json.Marshal(laid{Sum: sum[:], Decree: d})
	if err != nil {
		return fmt.Errorf("save what was laid down: %w", err)
	}
	if err := writeFile(filepath.Join(m.opts.Home, laidFile), raw); err != nil {
		return err
	}
	m.savedDecree = d
	return nil
}

// hadSecret says whether sum is of the secret of r, or of one before.
func hadSecret(r *roll.Roll, sum []byte) bool {
	return slices.ContainsFunc(append([]join.Secret{r.Secret}, r.Former...), func(s join.Secret) bool {
		one := roll.Roll{Secret: s}.Sum()
		return bytes.Equal(one[:], sum)
	})
}
