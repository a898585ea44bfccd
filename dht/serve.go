package dht

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/buildnet/buildnet/dht/dhtpb"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/mesh/wire"
	"github.com/buildnet/buildnet/store/digest"
)

// idleTimeout closes a stream that carried no request for so long.
const idleTimeout = 2 * time.Minute

func (d *DHT) serve(ctx context.Context, from peer.ID, s peer.Stream) {
	defer context.AfterFunc(ctx, func() { _ = s.Reset() })()
	r := bufio.NewReader(s)
	for {
		if s.SetDeadline(time.Now().Add(idleTimeout)) != nil {
			return
		}
		var req dhtpb.Request
		err := wire.Read(r, &req, wire.MaxFrame)
		if err == io.EOF {
			return
		}
		if err == nil {
			err = d.answer(ctx, from, &req, s)
		}
		if err != nil {
			d.opts.Log.Debug("blob stream ended", "peer", from, "error", err)
			_ = s.Reset()
			return
		}
	}
}

func (d *DHT) answer(ctx context.Context, from peer.ID, req *dhtpb.Request, w peer.Stream) error {
	ds, err := parse(req)
	if err != nil {
		return err
	}
	switch req.GetOp() {
	case dhtpb.Request_HAVE:
		_, err = d.answerPresent(ctx, ds, w)
		return err
	case dhtpb.Request_GET:
		here, err := d.answerPresent(ctx, ds, w)
		if err != nil {
			return err
		}
		return d.sendAll(ctx, here, w)
	case dhtpb.Request_PROVIDE:
		d.table.add(from, ds)
		return wire.Write(w, &dhtpb.Response{})
	case dhtpb.Request_FIND:
		return wire.Write(w, d.holders(ds))
	default:
		return fmt.Errorf("request of unknown kind %d", req.GetOp())
	}
}

func parse(req *dhtpb.Request) ([]digest.Digest, error) {
	if len(req.GetDigests()) > maxBatch {
		return nil, fmt.Errorf("request for %d digests, the limit is %d", len(req.GetDigests()), maxBatch)
	}
	ds := make([]digest.Digest, len(req.GetDigests()))
	for i, b := range req.GetDigests() {
		var err error
		if ds[i], err = digest.FromBinary(b); err != nil {
			return nil, fmt.Errorf("request: %w", err)
		}
	}
	return ds, nil
}

func (d *DHT) holders(ds []digest.Digest) *dhtpb.Response {
	resp := &dhtpb.Response{}
	member := d.member()
	for _, key := range ds {
		h := &dhtpb.Holders{}
		for _, id := range d.table.of(key, member) {
			h.Peers = append(h.Peers, string(id))
		}
		resp.Holders = append(resp.Holders, h)
	}
	return resp
}

func (d *DHT) answerPresent(ctx context.Context, ds []digest.Digest, w io.Writer) ([]digest.Digest, error) {
	has, err := d.opts.Blobs.Has(ctx, ds)
	if err != nil {
		return nil, fmt.Errorf("look up %d blobs: %w", len(ds), err)
	}
	bitmap := make([]byte, (len(ds)+7)/8)
	var here []digest.Digest
	for i, ok := range has {
		if ok {
			bitmap[i/8] |= 1 << (i % 8)
			here = append(here, ds[i])
		}
	}
	return here, wire.Write(w, &dhtpb.Response{Present: bitmap})
}

// sendAll writes blobs one behind the other. A failure can only be told by
// breaking the stream: the receiver counts bytes.
func (d *DHT) sendAll(ctx context.Context, ds []digest.Digest, w peer.Stream) error {
	out := bufio.NewWriterSize(deadlined{w}, 64<<10)
	for _, key := range ds {
		r, err := d.opts.Blobs.Open(ctx, key)
		if err != nil {
			return fmt.Errorf("serve %v: %w", key, err)
		}
		n, err := io.CopyN(out, r, key.Size())
		_ = r.Close()
		d.mu.Lock()
		d.stats.BytesOut += n
		d.mu.Unlock()
		if err != nil {
			return fmt.Errorf("serve %v: %w", key, err)
		}
	}
	return out.Flush()
}

// deadlined gives up on a peer that does not read.
type deadlined struct{ peer.Stream }

func (w deadlined) Write(b []byte) (int, error) {
	if err := w.SetDeadline(time.Now().Add(idleTimeout)); err != nil {
		return 0, err
	}
	return w.Stream.Write(b)
}
