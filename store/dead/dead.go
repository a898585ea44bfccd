// Package dead keeps dead letters: steps of this node's builds that came to
// nothing, again and again, for reasons that are not their command's. A step of
// a tree has one letter at most, until it is done. Start reading at Letters.
package dead

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/buildnet/buildnet/store"
)

const (
	// MaxLetters bounds what is kept; beyond it the oldest go.
	MaxLetters = 1000
	// MaxAge is how long a letter is kept: whoever has not looked by then has
	// built otherwise.
	MaxAge = 14 * 24 * time.Hour
	// maxTries of a letter are kept, the last ones: more than are made of a step.
	maxTries = 16
	// maxText bounds a cause, in bytes.
	maxText = 4 << 10
)

// Try is one that came to nothing.
type Try struct {
	At time.Time `json:"at"`
	// Peer is where, Name its host name.
	Peer  string `json:"peer"`
	Name  string `json:"name,omitempty"`
	Cause string `json:"cause"`
}

// Letter is a step that was given up.
type Letter struct {
	// ID is that of the step in its tree: Put sets it.
	ID    string    `json:"id"`
	At    time.Time `json:"at"`
	Build string    `json:"build"`
	Root  string    `json:"root"`
	Step  string    `json:"step"`
	Cause string    `json:"cause"`
	Tries []Try     `json:"tries"`
	// Request is what was asked for, in the words of whoever took it, to ask for it
	// again.
	Request json.RawMessage `json:"request,omitempty"`
}

// Letters are those of a node. All methods may be called concurrently.
type Letters struct {
	kv store.KV

	mu sync.Mutex
	// ids are those that are there, once they were looked for.
	ids    map[string]bool
	looked bool
}

// New returns the letters that kv holds. It reads nothing.
func New(kv store.KV) *Letters { return &Letters{kv: kv, ids: map[string]bool{}} }

// prefix of keys; the rest is the ID.
const prefix = "l/"

// idOf names a step of a tree.
func idOf(root, step string) string {
	sum := sha256.Sum256([]byte(root + "\x00" + step))
	return hex.EncodeToString(sum[:6])
}

// Put keeps a letter in the place of an earlier one of its step, and drops those
// that are too old or too many.
func (l *Letters) Put(letter Letter) error {
	letter.ID, letter.Cause = idOf(letter.Root, letter.Step), cut(letter.Cause)
	letter.Tries = slices.Clone(letter.Tries[max(0, len(letter.Tries)-maxTries):])
	for i := range letter.Tries {
		letter.Tries[i].Cause = cut(letter.Tries[i].Cause)
	}
	value, err := json.Marshal(letter)
	if err != nil {
		return fmt.Errorf("keep dead letter of %s: %w", letter.Step, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.kv.Put([]byte(prefix+letter.ID), value); err != nil {
		return fmt.Errorf("keep dead letter of %s: %w", letter.Step, err)
	}
	l.ids[letter.ID] = true
	_, err = l.list(letter.At)
	return err
}

func cut(text string) string {
	if len(text) > maxText {
		text = text[:maxText]
	}
	return string(bytes.ToValidUTF8([]byte(text), nil))
}

// List returns the letters, the newest first.
func (l *Letters) List(now time.Time) ([]Letter, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.list(now)
}

// list reads what there is, and drops what is beyond the bounds or damaged.
func (l *Letters) list(now time.Time) ([]Letter, error) {
	var all []Letter
	var drop [][]byte
	err := l.kv.Scan([]byte(prefix), func(key, value []byte) bool {
		var letter Letter
		if json.Unmarshal(value, &letter) != nil || prefix+letter.ID != string(key) || now.Sub(letter.At) > MaxAge {
			drop = append(drop, bytes.Clone(key))
			return true
		}
		all = append(all, letter)
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("list dead letters: %w", err)
	}
	slices.SortFunc(all, func(a, b Letter) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.ID, b.ID)) })
	for _, letter := range all[min(len(all), MaxLetters):] {
		drop = append(drop, []byte(prefix+letter.ID))
	}
	all = all[:min(len(all), MaxLetters)]
	for _, key := range drop {
		if err := l.kv.Delete(key); err != nil {
			return nil, fmt.Errorf("drop an old dead letter: %w", err)
		}
	}
	clear(l.ids)
	for _, letter := range all {
		l.ids[letter.ID] = true
	}
	l.looked = true
	return all, nil
}

// Done drops the letters of steps that are done. It costs next to nothing where
// there are none.
func (l *Letters) Done(root string, steps []string, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.looked {
		if _, err := l.list(now); err != nil {
			return err
		}
	}
	if len(l.ids) == 0 {
		return nil
	}
	for _, step := range steps {
		id := idOf(root, step)
		if !l.ids[id] {
			continue
		}
		if err := l.kv.Delete([]byte(prefix + id)); err != nil {
			return fmt.Errorf("drop dead letter of %s: %w", step, err)
		}
		delete(l.ids, id)
	}
	return nil
}
