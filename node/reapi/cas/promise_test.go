package cas_test

import (
	"context"
	"encoding/binary"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/buildnet/buildnet/node/reapi/cas"
	"github.com/buildnet/buildnet/node/reapi/names"
	"github.com/buildnet/buildnet/store/alias"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/disk"
	"github.com/buildnet/buildnet/store/storetest"
)

// lease is what the services of a crowded store promise.
const lease = 3 * time.Hour

// crowded are the services on a store of a megabyte, in virtual time.
type crowded struct {
	*cas.Service
	t     *testing.T
	store *disk.Store
	seed  uint32
}

func inCrowd(t *testing.T, f func(t *testing.T, c *crowded)) {
	synctest.Test(t, func(t *testing.T) {
		s, err := disk.Open("store", disk.Options{FS: vfs.NewMem(), MaxBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		blobs := alias.New(s, s.CacheKV("alias"))
		service := cas.New(blobs, cas.Options{Keep: func(ds []digest.Digest) {
			if _, err := blobs.Keeper(s).Keep(context.Background(), time.Now().Add(lease), ds); err != nil {
				t.Error(err)
			}
		}})
		f(t, &crowded{Service: service, t: t, store: s})
	})
}

// upload brings blobs as a client does.
func (c *crowded) upload(blobs, size int) (ds []*repb.Digest) {
	c.t.Helper()
	for range blobs {
		c.seed++
		content := storetest.Bytes(size, byte(c.seed))
		binary.LittleEndian.PutUint32(content, c.seed)
		d := names.Message(digest.Of(digest.SHA256, content))
		r, err := c.BatchUpdateBlobs(c.t.Context(), &repb.BatchUpdateBlobsRequest{
			Requests: []*repb.BatchUpdateBlobsRequest_Request{{Digest: d, Data: content}},
		})
		if err != nil || r.GetResponses()[0].GetStatus().GetCode() != 0 {
			c.t.Fatalf("upload: %v, %v", r, err)
		}
		ds = append(ds, d)
	}
	return ds
}

// flood brings three times what the store holds, and collects what is older than a
// second.
func (c *crowded) flood() {
	c.t.Helper()
	for range 32 {
		time.Sleep(time.Second)
		c.upload(1, 100_000)
	}
	if _, err := c.store.Collect(c.t.Context(), time.Second); err != nil {
		c.t.Fatal(err)
	}
}

func (c *crowded) missing(ds []*repb.Digest) []*repb.Digest {
	c.t.Helper()
	r, err := c.FindMissingBlobs(c.t.Context(), &repb.FindMissingBlobsRequest{BlobDigests: ds})
	if err != nil {
		c.t.Fatal(err)
	}
	return r.GetMissingBlobDigests()
}

func (c *crowded) readable(d *repb.Digest) bool {
	c.t.Helper()
	r, err := c.BatchReadBlobs(c.t.Context(), &repb.BatchReadBlobsRequest{Digests: []*repb.Digest{d}})
	return err == nil && r.GetResponses()[0].GetStatus().GetCode() == 0
}

// REAPI v2, ContentAddressableStorage.FindMissingBlobs: what a client was told is there
// stays for its lease from then on, whatever comes, and goes when that is over.
func TestWhatAClientWasToldIsThereStaysForItsLease(t *testing.T) {
	inCrowd(t, func(t *testing.T, c *crowded) {
		ds := c.upload(3, 40_000)
		time.Sleep(lease - time.Hour)
		if missing := c.missing(ds[:2]); len(missing) > 0 { // their leases begin anew
			t.Fatalf("missing: %v", missing)
		}
		c.flood()
		time.Sleep(lease - 2*time.Minute)
		c.flood()
		if got := []bool{c.readable(ds[0]), c.readable(ds[2])}; !slices.Equal(got, []bool{true, false}) {
			t.Errorf("asked for again %v, not since it was uploaded %v", got[0], got[1])
		}
		time.Sleep(3 * time.Minute)
		c.flood()
		if c.readable(ds[1]) {
			t.Error("it stays for longer than its lease, and nobody asked for it")
		}
		if st := c.store.Stats(); st.Evicted == 0 || st.Aged == 0 || st.Kept > st.MaxBytes/2 {
			t.Errorf("%+v", st)
		}
	})
}
