package disk

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/buildnet/buildnet/store/storetest"
)

// logs is how many values fill a log, and begin the next.
const logs = memTableBytes/(200<<10) + 20

// TestWhatHasToLastDoesBesidePushes crashes machines in the middle of writes of both
// kinds, which fill some logs.
func TestWhatHasToLastDoesBesidePushes(t *testing.T) {
	for round := range uint64(3) {
		mem := vfs.NewCrashableMem()
		s, err := Open("store", Options{FS: mem, MaxBytes: 1 << 30})
		if err != nil {
			t.Fatal(err)
		}
		var lasts, puts atomic.Int64
		over := make(chan struct{})
		var wg sync.WaitGroup
		for who := range 3 {
			wg.Go(func() {
				cache, value := s.CacheKV("cache"), storetest.Bytes(200<<10, byte(who))
				for n := 0; ; n++ {
					select {
					case <-over:
						return
					default:
					}
					if err := cache.Put(fmt.Appendf(nil, "%d/%d", who, n%64), value); err != nil {
						t.Error(err)
						return
					}
					if err := s.Push(); err != nil {
						t.Error(err)
						return
					}
					puts.Add(1)
				}
			})
		}
		state := s.KV("state")
		for n := int64(1); puts.Load() < logs+int64(round)*7; n++ {
			if err := state.Put([]byte("n"), []byte(strconv.FormatInt(n, 10))); err != nil {
				t.Fatal(err)
			}
			lasts.Store(n)
		}
		crashed := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: int(round) * 50, RNG: rand.New(rand.NewPCG(1, round))})
		close(over)
		wg.Wait()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s, err = Open("store", Options{FS: crashed, MaxBytes: 1 << 30})
		if err != nil {
			t.Fatal(err)
		}
		v, err := s.KV("state").Get([]byte("n"))
		if n, _ := strconv.ParseInt(string(v), 10, 64); err != nil || n < lasts.Load() {
			t.Errorf("state %d came back as %q, %v", lasts.Load(), v, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestALogIsWholeWhereAnotherFollows: pebble takes a log that ends early for the last.
func TestALogIsWholeWhereAnotherFollows(t *testing.T) {
	mem := vfs.NewCrashableMem()
	var lasting atomic.Int64
	f, err := walFS{mem, &lasting}.Create("000001.log", walCategory)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("record")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), syncDir(mem, "")); err != nil {
		t.Fatal(err)
	}
	length := func() int64 {
		info, err := mem.CrashClone(vfs.CrashCloneCfg{}).Stat("000001.log")
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	if n := length(); n != 0 {
		t.Errorf("%d bytes are on the disk, of a sync that nobody needed", n)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if n := length(); n != 6 {
		t.Errorf("%d bytes are on the disk when the log is closed, want 6", n)
	}
}
