// Package dead keeps dead letters: steps of this node's builds that came to
// nothing, again and again, for reasons that are not their command's. A step of
// a tree has one letter of each user at most, until it is done. Start reading at
// Letters.
package dead

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
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

// User is whose a letter is: a number of the system's, or Any.
type User int

// Any is whoever may see all letters, and take any off: the node's own user and
// root. Letters of theirs nobody else sees.
const Any User = -1

// may reports whether u sees the letters of owner.
func (u User) may(owner User) bool { return u == Any || u == owner }

// Letter is a step that was given up.
type Letter struct {
	// ID is that of the step in its tree, for its owner: Put sets it.
	ID    string    `json:"id"`
	Owner User      `json:"owner"`
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
	// at has those that are there by their place, once they were looked for.
	at     map[place][]kept
	count  int
	looked bool
}

// place is a step of a tree.
type place struct{ root, step string }

// kept is a letter that is there.
type kept struct {
	id    string
	owner User
}

// New returns the letters that kv holds. It reads nothing.
func New(kv store.KV) *Letters { return &Letters{kv: kv} }

// prefix of keys; the rest is the ID.
const prefix = "l/"

// idOf names a step of a tree, for its owner: nobody writes over the letters of
// others.
func (l *Letter) idOf() string {
	sum := sha256.Sum256([]byte(strconv.Itoa(int(l.Owner)) + "\x00" + l.Root + "\x00" + l.Step))
	return hex.EncodeToString(sum[:6])
}

// Put keeps a letter in the place of an earlier one of its step, and drops those
// that are too many.
func (l *Letters) Put(letter Letter) error {
	letter.ID, letter.Cause = letter.idOf(), cut(letter.Cause)
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
	if l.looked && l.count < MaxLetters {
		l.note(letter)
		return nil
	}
	_, err = l.list(letter.At)
	return err
}

// note remembers that a letter is there.
func (l *Letters) note(letter Letter) {
	where, one := place{letter.Root, letter.Step}, kept{letter.ID, letter.Owner}
	if !slices.Contains(l.at[where], one) {
		l.at[where] = append(l.at[where], one)
		l.count++
	}
}

func cut(text string) string {
	if len(text) > maxText {
		text = text[:maxText]
	}
	return string(bytes.ToValidUTF8([]byte(text), nil))
}

// List returns the letters that a user sees, the newest first.
func (l *Letters) List(by User, now time.Time) ([]Letter, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all, err := l.list(now)
	return slices.DeleteFunc(all, func(letter Letter) bool { return !by.may(letter.Owner) }), err
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
	l.at, l.count = map[place][]kept{}, 0
	for _, letter := range all {
		l.note(letter)
	}
	l.looked = true
	return all, nil
}

// Steps are those of a tree that are done.
type Steps struct {
	Root string
	IDs  []string
}

// Done drops the letters of what a user has done, as far as that user sees them.
// It costs next to nothing where there are none.
func (l *Letters) Done(by User, done Steps, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.looked {
		if _, err := l.list(now); err != nil {
			return err
		}
	}
	if len(l.at) == 0 {
		return nil
	}
	for _, step := range done.IDs {
		if err := l.drop(by, place{done.Root, step}); err != nil {
			return err
		}
	}
	return nil
}

// drop drops the letters of a place that a user sees.
func (l *Letters) drop(by User, where place) error {
	var stay []kept
	for _, k := range l.at[where] {
		if !by.may(k.owner) {
			stay = append(stay, k)
			continue
		}
		if err := l.kv.Delete([]byte(prefix + k.id)); err != nil {
			return fmt.Errorf("drop dead letter of %s: %w", where.step, err)
		}
		l.count--
	}
	if len(stay) == 0 {
		delete(l.at, where)
	} else {
		l.at[where] = stay
	}
	return nil
}
