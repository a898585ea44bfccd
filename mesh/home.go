package mesh

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/buildnet/buildnet/mesh/join"
	"github.com/buildnet/buildnet/mesh/roll"
)

// Identity is the key of a node; its public half is the peer ID.
type Identity struct{ key ed25519.PrivateKey }

// Credentials open a mesh.
type Credentials struct {
	Mesh   string      `json:"mesh"`
	Secret join.Secret `json:"secret"`
	// Roll is what revocations have left; nil before the first.
	Roll *roll.Roll `json:"roll,omitempty"`
}

func (c Credentials) roll() roll.Roll {
	if c.Roll == nil || c.Roll.Mesh != c.Mesh || c.Roll.Secret != c.Secret {
		return roll.Roll{Mesh: c.Mesh, Secret: c.Secret}
	}
	return *c.Roll
}

func credentialsOf(r roll.Roll) Credentials {
	return Credentials{Mesh: r.Mesh, Secret: r.Secret, Roll: &r}
}

// NewCredentials makes a mesh that nobody else is in yet.
func NewCredentials(name string) Credentials {
	c := Credentials{Mesh: name}
	_, _ = rand.Read(c.Secret[:]) // never fails since Go 1.24
	return c
}

// LoadOrCreateIdentity reads dir/identity, or makes it.
func LoadOrCreateIdentity(dir string) (Identity, error) {
	path := filepath.Join(dir, "identity")
	seed, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		_, key, _ := ed25519.GenerateKey(nil) // never fails since Go 1.24
		return Identity{key}, writeFile(path, key.Seed())
	}
	if err != nil {
		return Identity{}, fmt.Errorf("read identity: %w", err)
	}
	if len(seed) != ed25519.SeedSize {
		return Identity{}, fmt.Errorf("read identity: %s holds %d bytes, not %d; remove it to become a new node", path, len(seed), ed25519.SeedSize)
	}
	return Identity{ed25519.NewKeyFromSeed(seed)}, nil
}

// LoadCredentials reads dir/mesh.json; fs.ErrNotExist says that the node is in
// no mesh.
func LoadCredentials(dir string) (Credentials, error) {
	var c Credentials
	path := filepath.Join(dir, "mesh.json")
	raw, err := os.ReadFile(path)
	if err != nil {
		return c, fmt.Errorf("read credentials: %w", err)
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return c, fmt.Errorf("read credentials %s: %w; remove it and join again", path, err)
	}
	return c, nil
}

// SaveCredentials writes dir/mesh.json durably, for the owner alone.
func SaveCredentials(dir string, c Credentials) error {
	raw, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("save credentials: %w", err)
	}
	return writeFile(filepath.Join(dir, "mesh.json"), raw)
}

// ForgetCredentials ends the node's membership, and forgets the members. The
// identity stays. Call it again once Run has returned: what changes in the mesh
// meanwhile is saved.
func ForgetCredentials(dir string) error {
	for _, name := range []string{"mesh.json", peersFile, laidFile} {
		err := os.Remove(filepath.Join(dir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("forget credentials: %w", err)
		}
	}
	return nil
}

func writeFile(path string, b []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
