package cas_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	bspb "google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc/codes"

	"github.com/buildnet/buildnet/node/reapi/cas"
	"github.com/buildnet/buildnet/store/digest"
)

// What is lost and can be made again is there, for who asks and for who reads.
func TestDemand4WhatCanBeMadeAgainIsThere(t *testing.T) {
	content := []byte("made again")
	d, never := digest.Of(digest.SHA256, content), digest.Of(digest.SHA256, []byte("never"))
	var w *world
	var asked []digest.Digest
	w = serve(t, cas.Options{Remake: func(ctx context.Context, ds []digest.Digest) ([]digest.Digest, error) {
		asked = append(asked, ds...)
		if !slices.Contains(ds, d) {
			return nil, nil
		}
		return []digest.Digest{d}, w.blobs.Put(ctx, d, bytes.NewReader(content))
	}})
	there := w.add(digest.SHA256, []byte("there"))
	if got := w.missing(digest.SHA256, there, d, never); len(got) != 1 || got[0].Hash != never.Hex() {
		t.Errorf("missing %v", got)
	}
	if !slices.Equal(asked, []digest.Digest{d, never}) {
		t.Errorf("asked for %v", asked)
	}
	w.under.Drop(digest.Of(digest.BLAKE3, content))
	if got, err := w.read(&bspb.ReadRequest{ResourceName: blobName(d)}); err != nil || !bytes.Equal(got, content) {
		t.Errorf("read %q, %v", got, err)
	}
	_, err := w.read(&bspb.ReadRequest{ResourceName: blobName(never)})
	wantCode(t, "what nobody can make", err, codes.NotFound)
}

func TestWhatCannotBeLookedForIsNoAnswer(t *testing.T) {
	w := serve(t, cas.Options{Remake: func(context.Context, []digest.Digest) ([]digest.Digest, error) {
		return nil, errors.New("the table cannot be read")
	}})
	_, err := w.read(&bspb.ReadRequest{ResourceName: blobName(digest.Of(digest.SHA256, []byte("lost")))})
	if err == nil {
		t.Error("read what is lost")
	}
	wantCode(t, "a table that cannot be read", err, codes.Internal)
}
