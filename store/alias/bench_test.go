package alias_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/alias"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/disk"
	"github.com/buildnet/buildnet/store/storetest"
)

// BenchmarkPut1KiB compares a blob under a foreign name with one that needs none.
func BenchmarkPut1KiB(b *testing.B) {
	for name, of := range map[string]func(*disk.Store) (store.Blobs, digest.Function){
		"blake3 plain": func(d *disk.Store) (store.Blobs, digest.Function) { return d, digest.BLAKE3 },
		"sha256 plain": func(d *disk.Store) (store.Blobs, digest.Function) { return d, digest.SHA256 },
		"sha256 alias": func(d *disk.Store) (store.Blobs, digest.Function) {
			return alias.New(d, d.CacheKV("alias")), digest.SHA256
		},
	} {
		b.Run(name, func(b *testing.B) {
			under, err := disk.Open(b.TempDir(), disk.Options{MaxBytes: 1 << 30})
			if err != nil {
				b.Fatal(err)
			}
			defer func() {
				if err := under.Close(); err != nil {
					b.Fatal(err)
				}
			}()
			blobs, fn := of(under)
			content := storetest.Bytes(1<<10, 1)
			for i := 0; b.Loop(); i++ {
				binary.BigEndian.PutUint32(content, uint32(i))
				d := digest.Of(fn, content)
				if err := blobs.Put(b.Context(), d, bytes.NewReader(content)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkHas10000 is one FindMissingBlobs of the largest kind, per call.
func BenchmarkHas10000(b *testing.B) {
	for _, fn := range []digest.Function{digest.BLAKE3, digest.SHA256} {
		b.Run(fn.String(), func(b *testing.B) {
			under, err := disk.Open(b.TempDir(), disk.Options{MaxBytes: 1 << 30})
			if err != nil {
				b.Fatal(err)
			}
			defer func() {
				if err := under.Close(); err != nil {
					b.Fatal(err)
				}
			}()
			blobs := alias.New(under, under.CacheKV("alias"))
			ds := make([]digest.Digest, 10_000)
			for i := range ds {
				content := binary.BigEndian.AppendUint32(nil, uint32(i))
				ds[i] = digest.Of(fn, content)
				if err := blobs.Put(b.Context(), ds[i], bytes.NewReader(content)); err != nil {
					b.Fatal(err)
				}
			}
			for b.Loop() {
				if _, err := blobs.Has(b.Context(), ds); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
