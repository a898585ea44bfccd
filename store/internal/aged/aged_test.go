package aged_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/internal/aged"
	"github.com/buildnet/buildnet/store/memory"
)

func TestTheOldestGo(t *testing.T) {
	for name, limits := range map[string]aged.Limits{
		"Keys":  {Keys: 100, Bytes: 1 << 30},
		"Bytes": {Keys: 1 << 30, Bytes: 3000},
	} {
		t.Run(name, func(t *testing.T) {
			var kv memory.KV
			s := aged.New(&kv, limits)
			for i := range 1000 {
				if err := s.Put(fmt.Appendf(nil, "%04d", i), []byte("0123456789")); err != nil {
					t.Fatal(err)
				}
			}
			n := 0
			first := ""
			if err := s.Each(func(key, value []byte) bool {
				if n++; n == 1 {
					first = string(key)
				}
				return string(value) == "0123456789"
			}); err != nil {
				t.Fatal(err)
			}
			if got, err := s.Len(); err != nil || got != n {
				t.Errorf("Len = %d, %v; there are %d", got, err, n)
			}
			if n == 0 || n > 100 || first != fmt.Sprintf("%04d", 1000-n) {
				t.Errorf("%d values stay, from %s", n, first)
			}
		})
	}
}

func TestDamagedValuesAreGone(t *testing.T) {
	var kv memory.KV
	s := aged.New(&kv, aged.Limits{Keys: 10, Bytes: 1000})
	if err := s.Put([]byte("k"), []byte("value")); err != nil {
		t.Fatal(err)
	}
	raw, err := kv.Get([]byte("k"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		bad := append([]byte(nil), raw...)
		bad[i] ^= 1
		if err := kv.Put([]byte("k"), bad); err != nil {
			t.Fatal(err)
		}
		if v, err := s.Get([]byte("k")); !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("byte %d changed: %q, %v", i, v, err)
		}
		if _, err := kv.Get([]byte("k")); !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("a damaged value stays: %v", err)
		}
	}
	if err := kv.Put([]byte("k"), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get([]byte("k")); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an empty value: %v", err)
	}
}

func TestClear(t *testing.T) {
	var kv memory.KV
	s := aged.New(&kv, aged.Limits{Keys: 10, Bytes: 1000})
	for i := range 5 {
		if err := s.Put([]byte{byte(i)}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := s.Len(); n != 5 || err != nil {
		t.Errorf("Len = %d, %v", n, err)
	}
	if err := s.Put([]byte{3}, []byte("again")); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Len(); n != 5 || err != nil {
		t.Errorf("Len = %d, %v after one was written again", n, err)
	}
	if err := s.Clear(); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Len(); n != 0 || err != nil {
		t.Errorf("Len = %d, %v after all went", n, err)
	}
	if err := s.Each(func(key, _ []byte) bool { t.Errorf("%q stays", key); return true }); err != nil {
		t.Fatal(err)
	}
}

// counted counts what is written.
type counted struct {
	memory.KV
	puts int
}

func (c *counted) Put(key, value []byte) error {
	c.puts++
	return c.KV.Put(key, value)
}

func TestSameValueIsWrittenOnceAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kv counted
		s := aged.New(&kv, aged.Limits{Keys: 10, Bytes: 1000})
		for i, step := range []struct {
			value string
			wait  time.Duration
			puts  int
		}{{"one", 0, 1}, {"one", 59 * time.Second, 1}, {"two", 0, 2}, {"two", 0, 2}, {"two", time.Minute, 3}} {
			<-time.After(step.wait)
			if err := s.Put([]byte("k"), []byte(step.value)); err != nil {
				t.Fatal(err)
			}
			if kv.puts != step.puts {
				t.Errorf("step %d: %d written, want %d", i, kv.puts, step.puts)
			}
			if n, err := s.Len(); n != 1 || err != nil {
				t.Errorf("step %d: Len = %d, %v", i, n, err)
			}
		}
	})
}
