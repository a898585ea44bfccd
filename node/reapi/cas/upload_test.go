package cas

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/buildnet/buildnet/node/reapi/names"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/memory"
)

// table runs a test on uploads in virtual time.
func table(t *testing.T, test func(t *testing.T, u *uploads)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		u := newUploads(memory.New(1 << 20))
		defer u.close()
		test(t, u)
	})
}

var content = []byte("ten bytes.")

func keyOf(i int) uploadKey {
	return uploadKey{name: names.Upload{UUID: fmt.Sprint(i), Blob: names.Blob{Digest: digest.Of(digest.BLAKE3, content)}}}
}

// begun begins an upload and writes its first byte.
func begun(t *testing.T, u *uploads, i int, peer string) *hold {
	t.Helper()
	h, err := u.attach(t.Context(), keyOf(i), peer, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Write(content[:1]); err != nil {
		t.Fatal(err)
	}
	return h
}

func TestWhoBeginsTooManyUploadsLosesItsOwn(t *testing.T) {
	table(t, func(t *testing.T, u *uploads) {
		honest := begun(t, u, 0, "honest")
		for i := 1; i < maxUploads; i++ {
			time.Sleep(time.Millisecond)
			begun(t, u, i, "greedy")
		}
		begun(t, u, maxUploads, "late")
		for i, want := range map[int]int64{0: 1, 1: 0, 2: 1, maxUploads - 1: 1, maxUploads: 1} {
			if got := u.status(keyOf(i)); got != want {
				t.Errorf("%d bytes of upload %d, want %d", got, i, want)
			}
		}
		if _, err := honest.Write(content[1:]); err != nil {
			t.Error(err)
		}
		if err := honest.finish(); err != nil {
			t.Error(err)
		}
	})
}

func TestUploadsThatWereCutOffAreBoundedInNumberAndAge(t *testing.T) {
	table(t, func(t *testing.T, u *uploads) {
		for i := range maxCut + 1 {
			u.release(begun(t, u, i, "gone"))
		}
		if u.status(keyOf(0)) != 0 || u.status(keyOf(1)) != 1 || len(u.all) != maxCut {
			t.Errorf("%d uploads are kept", len(u.all))
		}
		time.Sleep(maxCutAge - time.Second)
		h, err := u.attach(t.Context(), keyOf(1), "back", 1)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if len(u.all) != 1 {
			t.Errorf("%d uploads are kept after %v", len(u.all), maxCutAge)
		}
		if _, err := h.Write(content[1:]); err != nil {
			t.Error(err)
		}
		if err := h.finish(); err != nil {
			t.Error(err)
		}
	})
}

func TestClosedUploadsTakeNothing(t *testing.T) {
	table(t, func(t *testing.T, u *uploads) {
		h := begun(t, u, 0, "one")
		u.close()
		if _, err := h.Write(content[1:]); err == nil {
			t.Error("a write is taken")
		}
		if _, err := u.attach(context.Background(), keyOf(1), "one", 0); err == nil {
			t.Error("an upload is taken")
		}
	})
}

func TestUploadsOfOthersCannotBeGoneOnWith(t *testing.T) {
	table(t, func(t *testing.T, u *uploads) {
		u.release(begun(t, u, 0, "one"))
		other := keyOf(0)
		other.client = "other"
		if _, err := u.attach(t.Context(), other, "two", 1); err == nil {
			t.Error("another client goes on with it")
		}
	})
}
