// Package history keeps the records of a node's builds, newest first. Start reading at History.
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
	// MaxRecordedBytes bounds the recordings, as they are kept: beyond it the
	// oldest go, and their records stay.
	MaxRecordedBytes = 16 << 20
)

var (
	// ErrAmbiguous says that a prefix is that of more than one build.
	ErrAmbiguous = errors.New("more than one build begins like this")
	// ErrNoRecording says that a record has none, or not any more.
	ErrNoRecording = errors.New("the build was not recorded")
)

// Record is what is kept of a build.
type Record struct {
	ID      string    `json:"id"`
	Started time.Time `json:"started"`
	Root    string    `json:"root"`
	// Client is the program of whose invocation it is that the Remote Execution API
	// was asked for; "" for other builds.
	Client string `json:"client,omitempty"`
	// Running says that this is what there is so far. It is never kept.
	Running bool `json:"-"`
	// Summary is the JSON of event.BuildFinished.
	Summary json.RawMessage `json:"summary"`
	// Events are all lines of the build, one JSON object a line.
	Events []byte `json:"-"`
	// Recording is the JSON of event.Recording; nil if there is none. Only
	// Recording reads it back.
	Recording []byte `json:"-"`
}

// History is the records of builds. All methods may be called concurrently.
type History struct {
	kv store.KV
	// encoder and decoder are made when first needed: their tables are megabytes.
	encoder func() *zstd.Encoder
	decoder func() *zstd.Decoder

	// write orders Puts, over their I/O: there is one at the end of each build.
	write sync.Mutex
	// total is what there is, once counted.
	counted bool
	total   total
}

// total is how much a history keeps: bytes of everything, and recorded ones of
// recordings.
type total struct {
	builds          int
	bytes, recorded int64
}

// over reports whether it is more than percent per cent of the bounds.
func (t total) over(percent int64) bool {
	return int64(t.builds) > MaxBuilds*percent/100 || t.bytes > MaxBytes*percent/100
}

// New returns the history that kv holds; losing its newest records in an
// unclean stop does no harm. It reads nothing.
func New(kv store.KV) *History {
	return &History{kv: kv, encoder: sync.OnceValue(newEncoder), decoder: sync.OnceValue(newDecoder)}
}

// Keys sort the newest build first: "h/", "e/" or "r/", the complement of its
// start in nanoseconds, and its ID. The value below "h/" is the sizes of the
// recording and of the events as kept, 4 bytes each, and the record without
// them.
const (
	headPrefix      = "h/"
	eventPrefix     = "e/"
	recordingPrefix = "r/"
)

func keyOf(r Record) string {
	return string(binary.BigEndian.AppendUint64(nil, ^uint64(r.Started.UnixNano()))) + r.ID
}

// Put keeps a record, in the place of one with the same start and ID, and drops the
// oldest beyond the bounds.
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
	if err := h.put(r, head); err != nil {
		return fmt.Errorf("build %s: %w", r.ID, err)
	}
	if t := h.total; h.counted && !t.over(100) && t.recorded <= MaxRecordedBytes {
		return nil
	}
	return h.prune()
}

// put writes a record. Its head comes last: without the rest it would be half
// a record. A recording that cannot be kept costs no more than itself.
func (h *History) put(r Record, head []byte) error {
	key := keyOf(r)
	var recording []byte
	var unrecorded error
	if len(r.Recording) > 0 {
		recording = h.encoder().EncodeAll(r.Recording, nil)
		if err := h.kv.Put([]byte(recordingPrefix+key), recording); err != nil {
			recording, unrecorded = nil, fmt.Errorf("keep recording: %w", err)
		}
	}
	events := h.encoder().EncodeAll(shorten(r.Events), nil)
	if err := h.kv.Put([]byte(eventPrefix+key), events); err != nil {
		return fmt.Errorf("keep events: %w", err)
	}
	if old, err := h.kv.Get([]byte(headPrefix + key)); err == nil {
		h.total.less(kept{head: int64(len(old)), sizes: sizesOf(old)})
	}
	value := sizes{recording: uint32(len(recording)), events: uint32(len(events))}.append(nil)
	value = h.encoder().EncodeAll(head, value)
	if err := h.kv.Put([]byte(headPrefix+key), value); err != nil {
		return fmt.Errorf("keep record: %w", err)
	}
	h.total.builds++
	h.total.bytes += int64(len(value) + len(events) + len(recording))
	h.total.recorded += int64(len(recording))
	return unrecorded
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

// Get returns the record of the build whose ID is, or alone begins with, id,
// without its recording. It returns store.ErrNotFound or ErrAmbiguous.
func (h *History) Get(id string) (Record, error) {
	r, key, err := h.find(id)
	if err != nil {
		return Record{}, err
	}
	if r.Events, err = h.unpack(eventPrefix + key); err != nil {
		return Record{}, fmt.Errorf("events of build %s: %w", r.ID, err)
	}
	return r, nil
}

// Recording returns the record of a build as Get does, with its recording and
// without its events. It returns ErrNoRecording, beside the record, if there is
// none.
func (h *History) Recording(id string) (Record, error) {
	r, key, err := h.find(id)
	if err != nil {
		return Record{}, err
	}
	r.Recording, err = h.unpack(recordingPrefix + key)
	if errors.Is(err, store.ErrNotFound) {
		err = ErrNoRecording
	}
	if err != nil {
		return r, fmt.Errorf("recording of build %s: %w", r.ID, err)
	}
	return r, nil
}

// At returns the record of the build that started at a time as Get does, with no
// search for it.
func (h *History) At(started time.Time, id string) (Record, error) {
	key := keyOf(Record{ID: id, Started: started})
	value, err := h.kv.Get([]byte(headPrefix + key))
	if err != nil {
		return Record{}, fmt.Errorf("build %s: %w", id, err)
	}
	r, ok := h.decodeHead(value)
	if !ok {
		return Record{}, fmt.Errorf("build %s: its record is damaged: %w", id, store.ErrNotFound)
	}
	if r.Events, err = h.unpack(eventPrefix + key); err != nil {
		return Record{}, fmt.Errorf("events of build %s: %w", id, err)
	}
	return r, nil
}

// find returns the head of the build that id means, and its key.
func (h *History) find(id string) (Record, string, error) {
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
		return Record{}, "", err
	case len(found) == 0 || id == "":
		return Record{}, "", fmt.Errorf("build %s: %w", id, store.ErrNotFound)
	case len(found) > 1:
		return Record{}, "", fmt.Errorf("build %s: %w: %s and %s are two of %d", id, ErrAmbiguous, found[0].ID, found[1].ID, len(found))
	}
	return found[0], keys[0], nil
}

func (h *History) unpack(key string) ([]byte, error) {
	raw, err := h.kv.Get([]byte(key))
	if err != nil {
		return nil, err
	}
	return h.decoder().DecodeAll(raw, nil)
}

func (h *History) each(f func(key string, r Record) bool) error {
	err := h.kv.Scan([]byte(headPrefix), func(key, value []byte) bool {
		r, ok := h.decodeHead(value)
		return !ok || f(strings.TrimPrefix(string(key), headPrefix), r)
	})
	if err != nil {
		return fmt.Errorf("list builds: %w", err)
	}
	return nil
}

func (h *History) decodeHead(value []byte) (r Record, ok bool) {
	if len(value) < sizesBytes {
		return Record{}, false
	}
	head, err := h.decoder().DecodeAll(value[sizesBytes:], nil)
	if err != nil {
		return Record{}, false
	}
	return r, json.Unmarshal(head, &r) == nil
}

func newEncoder() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		panic("history: zstd refuses constant options: " + err.Error())
	}
	return e
}

func newDecoder() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(2*maxEvents))
	if err != nil {
		panic("history: zstd refuses constant options: " + err.Error())
	}
	return d
}
