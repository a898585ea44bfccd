package history_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/history"
	"github.com/buildnet/buildnet/store/memory"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)

func record(i int) history.Record {
	return history.Record{
		ID: fmt.Sprintf("id%04d", i), Started: epoch.Add(time.Duration(i) * time.Second), Root: "/p",
		Summary: fmt.Appendf(nil, `{"n":%d}`, i), Events: fmt.Appendf(nil, "line %d\n", i),
	}
}

func TestNewestFirstAndBounded(t *testing.T) {
	h := history.New(&memory.KV{})
	for i := range history.MaxBuilds + 5 {
		if err := h.Put(record(i)); err != nil {
			t.Fatal(err)
		}
	}
	all, err := h.List(0)
	if err != nil || len(all) > history.MaxBuilds || len(all) < history.MaxBuilds*9/10 {
		t.Fatalf("%d records, %v", len(all), err)
	}
	for i, r := range all {
		want := record(history.MaxBuilds + 4 - i)
		if r.ID != want.ID || !r.Started.Equal(want.Started) || string(r.Summary) != string(want.Summary) || r.Events != nil {
			t.Fatalf("record %d is %+v", i, r)
		}
	}
	if few, err := h.List(3); err != nil || len(few) != 3 || few[0].ID != all[0].ID {
		t.Errorf("List(3) = %v, %v", few, err)
	}
	if _, err := h.Get("id0000"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the oldest: %v", err)
	}
}

func TestGetByPrefix(t *testing.T) {
	h := history.New(&memory.KV{})
	for _, id := range []string{"abc", "abd", "ab", "x1"} {
		if err := h.Put(history.Record{ID: id, Started: epoch, Events: []byte(id)}); err != nil {
			t.Fatal(err)
		}
	}
	for prefix, want := range map[string]string{"x": "x1", "abc": "abc", "ab": "ab"} {
		if r, err := h.Get(prefix); err != nil || r.ID != want || string(r.Events) != want {
			t.Errorf("Get(%q) = %+v, %v", prefix, r, err)
		}
	}
	if _, err := h.Get("a"); !errors.Is(err, history.ErrAmbiguous) {
		t.Errorf("Get of the beginning of three: %v", err)
	}
	for _, none := range []string{"", "zz"} {
		if _, err := h.Get(none); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Get(%q): %v", none, err)
		}
	}
	if err := h.Put(history.Record{}); err == nil {
		t.Error("a record without an ID was kept")
	}
}

func TestBoundedInBytes(t *testing.T) {
	kv := &memory.KV{}
	h := history.New(kv)
	noise := make([]byte, 20<<20)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	for i := range 5 {
		r := record(i)
		r.Events = noise
		if err := h.Put(r); err != nil {
			t.Fatal(err)
		}
	}
	total := 0
	if err := kv.Scan(nil, func(_, value []byte) bool { total += len(value); return true }); err != nil {
		t.Fatal(err)
	}
	if all, err := h.List(0); err != nil || len(all) < 2 || len(all) > 3 || total > history.MaxBytes {
		t.Errorf("%d records of %d bytes, %v", len(all), total, err)
	}
	r, err := h.Get("id0004")
	if err != nil || !bytes.Equal(r.Events, noise) {
		t.Errorf("the newest: %d bytes, %v", len(r.Events), err)
	}
}

func TestDamagedRecordsAreLeftOut(t *testing.T) {
	kv := &memory.KV{}
	h := history.New(kv)
	for i := range 3 {
		if err := h.Put(record(i)); err != nil {
			t.Fatal(err)
		}
	}
	var heads [][]byte
	if err := kv.Scan([]byte("h/"), func(key, _ []byte) bool { heads = append(heads, key); return true }); err != nil {
		t.Fatal(err)
	}
	for i, bad := range [][]byte{nil, []byte("12345678garbage")} {
		if err := kv.Put(heads[i], bad); err != nil {
			t.Fatal(err)
		}
	}
	if all, err := h.List(0); err != nil || len(all) != 1 {
		t.Errorf("List = %v, %v", all, err)
	}
}

func TestRecordingsGoBeforeTheirRecords(t *testing.T) {
	kv := &memory.KV{}
	h := history.New(kv)
	noise := make([]byte, 3<<20)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	const builds = 10
	for i := range builds {
		r := record(i)
		r.Recording = noise
		if i%2 == 1 {
			r.Recording = nil
		}
		if err := h.Put(r); err != nil {
			t.Fatal(err)
		}
	}
	more := record(builds)
	more.Recording = noise
	if err := h.Put(more); err != nil {
		t.Fatal(err)
	}
	if all, err := h.List(0); err != nil || len(all) != builds+1 {
		t.Fatalf("%d records, %v", len(all), err)
	}
	for id, want := range map[string]error{"id0000": history.ErrNoRecording, "id0001": history.ErrNoRecording, "id0008": nil, "id0010": nil, "id0011": store.ErrNotFound} {
		r, err := h.Recording(id)
		if !errors.Is(err, want) || err == nil && !bytes.Equal(r.Recording, noise) {
			t.Errorf("Recording(%s) = %d bytes, %v; want %v", id, len(r.Recording), err, want)
		}
		if !errors.Is(want, store.ErrNotFound) {
			if r, err := h.Get(id); err != nil || len(r.Events) == 0 || r.Recording != nil {
				t.Errorf("Get(%s) = %+v, %v", id, r, err)
			}
		}
	}
}

func TestRecordingsAreDroppedWithTheirRecords(t *testing.T) {
	kv := &memory.KV{}
	h := history.New(kv)
	for i := range history.MaxBuilds + 5 {
		r := record(i)
		r.Recording = []byte(`{"n":1}`)
		if err := h.Put(r); err != nil {
			t.Fatal(err)
		}
	}
	left := map[string]int{}
	if err := kv.Scan(nil, func(key, _ []byte) bool { left[string(key[:2])]++; return true }); err != nil {
		t.Fatal(err)
	}
	if left["h/"] != left["r/"] || left["h/"] != left["e/"] || left["h/"] > history.MaxBuilds {
		t.Errorf("left are %v", left)
	}
}

// A record that is written again takes the place of the one before.
func TestARecordIsReplaced(t *testing.T) {
	h := history.New(&memory.KV{})
	r := record(1)
	for n := range history.MaxBuilds + 5 {
		r.Summary = fmt.Appendf(nil, `{"n":%d}`, n)
		if err := h.Put(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Put(record(2)); err != nil {
		t.Fatal(err)
	}
	all, err := h.List(0)
	if err != nil || len(all) != 2 || string(all[1].Summary) != string(r.Summary) {
		t.Errorf("%+v, %v", all, err)
	}
	if got, err := h.At(r.Started, r.ID); err != nil || string(got.Summary) != string(r.Summary) || string(got.Events) != string(r.Events) {
		t.Errorf("At = %+v, %v", got, err)
	}
	if _, err := h.At(r.Started.Add(1), r.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("At another time: %v", err)
	}
}
