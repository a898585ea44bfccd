// Package history keeps the records of a node's builds, newest first, and how
// much work their steps were. Start reading at History.
package history

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/buildnet/buildnet/store"
)

const (
	// MaxBuilds bounds a history; beyond it the oldest go.
	MaxBuilds = 1000
	// MaxBytes bounds it too, as it is kept: compressed.
	MaxBytes = 64 << 20
	// keepShare of the bounds, in per cent, stays when they were passed.
	keepShare = 95
	// maxEvents bounds the events of one record, in bytes before compression:
	// 200,000 steps. Beyond it the middle goes.
	maxEvents = 128 << 20
	// maxHead bounds a record without its events.
	maxHead = 4 << 20
)

// ErrAmbiguous says that a prefix is that of more than one build.
var ErrAmbiguous = errors.New("more than one build begins like this")

// Record is what is kept of a build.
type Record struct {
	ID      string    `json:"id"`
	Started time.Time `json:"started"`
	Root    string    `json:"root"`
	// Summary is the JSON of event.BuildFinished.
	Summary json.RawMessage `json:"summary"`
	// Events are all lines of the build, one JSON object a line.
	Events []byte `json:"-"`
}

// History is the records of builds. All methods may be called concurrently.
type History struct {
	kv store.KV

	// write orders Puts, over their I/O: there is one at the end of each build.
	write sync.Mutex
	// builds and bytes are what there is, once counted.
	counted bool
	builds  int
	bytes   int64
}

// New returns the history that kv holds; losing its newest records in an
// unclean stop does no harm. It reads nothing.
func New(kv store.KV) *History { return &History{kv: kv} }

// Keys sort the newest build first: "h/" or "e/", the complement of its start
// in nanoseconds, and its ID. The value below "h/" is the size of the events
// as kept, and the record without them.
const (
	headPrefix  = "h/"
	eventPrefix = "e/"
)

func keyOf(r Record) string {
	return string(binary.BigEndian.AppendUint64(nil, ^uint64(r.Started.UnixNano()))) + r.ID
}

// Put keeps a record, and drops the oldest beyond the bounds.
func (h *History) Put(r Record) error {
	if r.ID == "" {
		return errors.New("keep a build's record: it has no ID")
	}
	if len(r.Summary) == 0 {
		r.Summary = json.RawMessage("{}")
	}
	head, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("keep record of build %s: %w", r.ID, err)
	}
	if len(head) > maxHead {
		return fmt.Errorf("keep record of build %s: %d bytes, the limit is %d", r.ID, len(head), maxHead)
	}
	h.write.Lock()
	defer h.write.Unlock()
	events := encoder().EncodeAll(shorten(r.Events), nil)
	value := binary.BigEndian.AppendUint64(nil, uint64(len(events)))
	value = encoder().EncodeAll(head, value)
	key := keyOf(r)
	// The events first: a head without events would be half a record.
	if err := h.kv.Put([]byte(eventPrefix+key), events); err != nil {
		return fmt.Errorf("keep events of build %s: %w", r.ID, err)
	}
	if err := h.kv.Put([]byte(headPrefix+key), value); err != nil {
		return fmt.Errorf("keep record of build %s: %w", r.ID, err)
	}
	h.builds++
	h.bytes += int64(len(value) + len(events))
	if h.counted && h.builds <= MaxBuilds && h.bytes <= MaxBytes {
		return nil
	}
	return h.prune()
}

// shorten drops lines from the middle of events that are too long; the last
// line, the summary, stays.
func shorten(events []byte) []byte {
	if len(events) <= maxEvents {
		return events
	}
	last := bytes.LastIndexByte(bytes.TrimRight(events, "\n"), '\n') + 1
	head := events[:maxEvents]
	head = head[:bytes.LastIndexByte(head, '\n')+1]
	return append(bytes.Clone(head), events[last:]...)
}

// prune counts, and if there is too much drops the oldest, to a little below
// the bounds, so that not every Put has to.
func (h *History) prune() error {
	type kept struct {
		key   string
		bytes int64
	}
	var all []kept
	var total int64
	err := h.kv.Scan([]byte(headPrefix), func(key, value []byte) bool {
		k := kept{key: strings.TrimPrefix(string(key), headPrefix), bytes: int64(len(value))}
		if len(value) >= 8 {
			k.bytes += int64(binary.BigEndian.Uint64(value))
		}
		all = append(all, k)
		total += k.bytes
		return true
	})
	if err != nil {
		return fmt.Errorf("list builds: %w", err)
	}
	if len(all) > MaxBuilds || total > MaxBytes {
		// The newest stays, however large.
		for len(all) > 1 && (len(all) > MaxBuilds*keepShare/100 || total > MaxBytes*keepShare/100) {
			oldest := all[len(all)-1]
			if err := errors.Join(h.kv.Delete([]byte(headPrefix+oldest.key)), h.kv.Delete([]byte(eventPrefix+oldest.key))); err != nil {
				return fmt.Errorf("drop the record of an old build: %w", err)
			}
			all, total = all[:len(all)-1], total-oldest.bytes
		}
	}
	h.counted, h.builds, h.bytes = true, len(all), total
	return nil
}

// List returns the newest n records, without their events; all if n is 0.
// Damaged ones are left out.
func (h *History) List(n int) ([]Record, error) {
	var all []Record
	err := h.each(func(_ string, r Record) bool {
		all = append(all, r)
		return n <= 0 || len(all) < n
	})
	return all, err
}

// Get returns the record of the build whose ID is, or alone begins with, id.
// It returns store.ErrNotFound or ErrAmbiguous.
func (h *History) Get(id string) (Record, error) {
	var found []Record
	var keys []string
	err := h.each(func(key string, r Record) bool {
		if r.ID == id {
			found, keys = []Record{r}, []string{key}
			return false
		}
		if strings.HasPrefix(r.ID, id) {
			found, keys = append(found, r), append(keys, key)
		}
		return true
	})
	switch {
	case err != nil:
		return Record{}, err
	case len(found) == 0 || id == "":
		return Record{}, fmt.Errorf("build %s: %w", id, store.ErrNotFound)
	case len(found) > 1:
		return Record{}, fmt.Errorf("build %s: %w: %s and %s are two of %d", id, ErrAmbiguous, found[0].ID, found[1].ID, len(found))
	}
	raw, err := h.kv.Get([]byte(eventPrefix + keys[0]))
	if err != nil {
		return Record{}, fmt.Errorf("events of build %s: %w", found[0].ID, err)
	}
	if found[0].Events, err = decoder().DecodeAll(raw, nil); err != nil {
		return Record{}, fmt.Errorf("events of build %s: %w", found[0].ID, err)
	}
	return found[0], nil
}

func (h *History) each(f func(key string, r Record) bool) error {
	err := h.kv.Scan([]byte(headPrefix), func(key, value []byte) bool {
		r, ok := decodeHead(value)
		return !ok || f(strings.TrimPrefix(string(key), headPrefix), r)
	})
	if err != nil {
		return fmt.Errorf("list builds: %w", err)
	}
	return nil
}

func decodeHead(value []byte) (r Record, ok bool) {
	if len(value) < 8 {
		return Record{}, false
	}
	head, err := decoder().DecodeAll(value[8:], nil)
	if err != nil {
		return Record{}, false
	}
	return r, json.Unmarshal(head, &r) == nil
}

// encoder and decoder are made when first needed: their tables are megabytes.
var (
	encoder = sync.OnceValue(func() *zstd.Encoder {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
		if err != nil {
			panic("history: zstd refuses constant options: " + err.Error())
		}
		return e
	})
	decoder = sync.OnceValue(func() *zstd.Decoder {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(2*maxEvents))
		if err != nil {
			panic("history: zstd refuses constant options: " + err.Error())
		}
		return d
	})
)
