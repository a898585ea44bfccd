package history

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// sizes are what of a record is kept beside its head, in bytes. A record that
// was made before there were recordings reads as one without.
type sizes struct{ recording, events uint32 }

const sizesBytes = 8

func (s sizes) append(b []byte) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, s.recording), s.events)
}

func sizesOf(head []byte) sizes {
	if len(head) < sizesBytes {
		return sizes{}
	}
	return sizes{recording: binary.BigEndian.Uint32(head), events: binary.BigEndian.Uint32(head[4:])}
}

// kept is a record as prune sees it.
type kept struct {
	key  string
	head int64 // bytes
	sizes
}

func (k kept) bytes() int64 { return k.head + int64(k.recording) + int64(k.events) }

// less leaves a record out.
func (t *total) less(k kept) {
	t.builds, t.bytes, t.recorded = t.builds-1, t.bytes-k.bytes(), t.recorded-int64(k.recording)
}

// prune counts, and if there is too much drops the oldest, to a little below
// the bounds, so that not every Put has to. The newest stays, however large.
func (h *History) prune() error {
	all, t, err := h.count()
	if err != nil {
		return err
	}
	if t.over(100) {
		for len(all) > 1 && t.over(keepShare) {
			oldest := all[len(all)-1]
			if err := h.drop(oldest); err != nil {
				return fmt.Errorf("drop the record of an old build: %w", err)
			}
			all = all[:len(all)-1]
			t.less(oldest)
		}
	}
	if t.recorded > MaxRecordedBytes {
		for i := len(all) - 1; i > 0 && t.recorded > MaxRecordedBytes*keepShare/100; i-- {
			if err := h.dropRecording(all[i]); err != nil {
				return fmt.Errorf("drop the recording of an old build: %w", err)
			}
			t.bytes, t.recorded = t.bytes-int64(all[i].recording), t.recorded-int64(all[i].recording)
		}
	}
	h.counted, h.total = true, t
	return nil
}

// count lists what there is, the newest first.
func (h *History) count() (all []kept, t total, err error) {
	err = h.kv.Scan([]byte(headPrefix), func(key, value []byte) bool {
		k := kept{key: strings.TrimPrefix(string(key), headPrefix), head: int64(len(value)), sizes: sizesOf(value)}
		all = append(all, k)
		t.bytes, t.recorded = t.bytes+k.bytes(), t.recorded+int64(k.recording)
		return true
	})
	if err != nil {
		return nil, total{}, fmt.Errorf("list builds: %w", err)
	}
	t.builds = len(all)
	return all, t, nil
}

func (h *History) drop(k kept) error {
	return errors.Join(
		h.kv.Delete([]byte(headPrefix+k.key)), h.kv.Delete([]byte(eventPrefix+k.key)), h.kv.Delete([]byte(recordingPrefix+k.key)),
	)
}

// dropRecording leaves the rest of a record.
func (h *History) dropRecording(k kept) error {
	if k.recording == 0 {
		return nil
	}
	key := []byte(headPrefix + k.key)
	head, err := h.kv.Get(key)
	if err != nil {
		return err
	}
	value := append(sizes{events: k.events}.append(nil), head[min(len(head), sizesBytes):]...)
	return errors.Join(h.kv.Put(key, value), h.kv.Delete([]byte(recordingPrefix+k.key)))
}
