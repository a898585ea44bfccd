package dht

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/buildnet/buildnet/dht/dhtpb"
	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/mesh/wire"
	"github.com/buildnet/buildnet/store/digest"
)

const (
	// idleTimeout closes a stream that carried no request for so long.
	idleTimeout = 2 * time.Minute
	// sendStall is how long a peer may leave a piece of an answer unread.
	sendStall = 30 * time.Second
	// sendPiece is what a peer must take within sendStall, in bytes.
	sendPiece = 64 << 10
	// answerTime bounds how long small blobs are collected for one answer: the
	// asker takes silence of stall for a hung peer.
	answerTime = time.Second
	// maxStreams one peer may have open: its lanes and the large reads of
	// several builds.
	maxStreams = 64
	// maxAnswers to one peer are made at once.
	maxAnswers = 16
	// maxServed bytes of answers to all peers are in memory at once.
	maxServed = 64 << 20
)

// admission limits what peers may ask at once.
type admission struct {
	bytes *semaphore.Weighted

	mu    sync.Mutex
	peers map[peer.ID]*guest
}

type guest struct {
	streams int // guarded by admission.mu
	answers *semaphore.Weighted
	sent    sent
}

func newAdmission() *admission {
	return &admission{bytes: semaphore.NewWeighted(maxServed), peers: map[peer.ID]*guest{}}
}

func (a *admission) enter(id peer.ID) (*guest, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	g, ok := a.peers[id]
	if !ok {
		g = &guest{answers: semaphore.NewWeighted(maxAnswers)}
		a.peers[id] = g
	}
	if g.streams == maxStreams {
		return nil, false
	}
	g.streams++
	return g, true
}

func (a *admission) leave(id peer.ID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	g := a.peers[id]
	if g.streams--; g.streams == 0 {
		delete(a.peers, id)
	}
}

// with runs f while size bytes of answer are accounted for.
func (a *admission) with(ctx context.Context, g *guest, size int64, f func() error) error {
	if err := g.answers.Acquire(ctx, 1); err != nil {
		return err
	}
	defer g.answers.Release(1)
	if err := a.bytes.Acquire(ctx, size); err != nil {
		return err
	}
	defer a.bytes.Release(size)
	return f()
}

func (d *DHT) serve(ctx context.Context, from peer.ID, s peer.Stream) {
	defer context.AfterFunc(ctx, func() { _ = s.Reset() })()
	g, ok := d.served.enter(from)
	if !ok {
		_ = s.Reset()
		return
	}
	defer d.served.leave(from)
	r := bufio.NewReader(s)
	for {
		if s.SetDeadline(time.Now().Add(idleTimeout)) != nil {
			return
		}
		var req dhtpb.Request
		err := wire.Read(r, &req, maxRequest)
		if err == io.EOF { //nolint:errorlint // a wrapped one is an end within a frame
			return
		}
		if err == nil {
			err = d.answer(ctx, from, g, &req, pacedWriter{s})
		}
		if err != nil {
			d.opts.Log.Debug("blob stream ended", "peer", from, "error", err)
			_ = s.Reset()
			return
		}
	}
}

func (d *DHT) answer(ctx context.Context, from peer.ID, g *guest, req *dhtpb.Request, w io.Writer) error {
	ds, err := parse(req)
	if err != nil {
		return err
	}
	switch req.GetOp() {
	case dhtpb.Request_HAVE:
		if len(req.GetLease()) > 0 {
			return d.served.with(ctx, g, sendPiece, func() error { return d.answerHave(ctx, from, req, ds, w) })
		}
		return d.answerHave(ctx, from, req, ds, w)
	case dhtpb.Request_GET:
		var size int64
		for _, key := range ds {
			if size += key.Size(); key.Size() >= Large || size > batchBytes {
				return fmt.Errorf("request for small blobs of more than %d bytes", batchBytes)
			}
		}
		if req.GetParts() {
			size += maxPartBytes
		}
		return d.served.with(ctx, g, size, func() error { return d.answerGet(ctx, g, req, ds, w) })
	case dhtpb.Request_PROVIDE:
		d.table.add(time.Now(), from, ds)
		return wire.Write(w, &dhtpb.Response{})
	case dhtpb.Request_FIND:
		return wire.Write(w, d.holders(ds))
	case dhtpb.Request_READ:
		return d.served.with(ctx, g, sendPiece, func() error { return d.answerRead(ctx, req, ds, w) })
	case dhtpb.Request_OUTLINE:
		return d.served.with(ctx, g, sendPiece, func() error { return d.answerOutline(ctx, ds, w) })
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
	member, now := d.member(), time.Now()
	for _, key := range ds {
		h := &dhtpb.Holders{}
		for _, id := range d.table.of(now, key, member) {
			h.Peers = append(h.Peers, string(id))
		}
		resp.Holders = append(resp.Holders, h)
	}
	return resp
}

func (d *DHT) answerHave(ctx context.Context, from peer.ID, req *dhtpb.Request, ds []digest.Digest, w io.Writer) (err error) {
	var has []bool
	switch {
	case req.GetNatives():
		return d.answerNatives(ctx, ds, w)
	case len(req.GetLease()) > 0:
		has, err = d.leased(ctx, from, req, ds)
	case req.GetKeep():
		has, err = d.opts.Keep(ctx, ds)
	default:
		has, err = d.opts.Blobs.Has(ctx, ds)
	}
	if err != nil {
		return fmt.Errorf("look up %d blobs: %w", len(ds), err)
	}
	return wire.Write(w, &dhtpb.Response{Present: bitmap(has)})
}

// answerGet leaves out blobs when answerTime is over. One that cannot be read
// counts as absent: the asker goes elsewhere.
func (d *DHT) answerGet(ctx context.Context, g *guest, req *dhtpb.Request, ds []digest.Digest, w io.Writer) error {
	has, err := d.opts.Blobs.Has(ctx, ds)
	if err != nil {
		return fmt.Errorf("look up %d blobs: %w", len(ds), err)
	}
	resp := &dhtpb.Response{}
	var sent int64
	start := time.Now()
	for i, key := range ds {
		if !has[i] {
			continue
		}
		if len(resp.Blobs) > 0 && time.Since(start) > answerTime {
			break
		}
		content, err := d.content(ctx, key)
		if err != nil {
			d.opts.Log.Warn("blob cannot be served", "digest", key, "error", err)
			has[i] = false
			continue
		}
		resp.Blobs = append(resp.Blobs, content)
		sent += key.Size()
	}
	resp.Present = bitmap(has)
	if req.GetParts() && len(ds) == 1 && has[0] {
		resp.Parts = d.parts(ctx, g, ds[0], resp.Blobs[0])
		for _, content := range resp.Parts {
			sent += int64(len(content))
		}
	}
	if err := wire.Write(w, resp); err != nil {
		return err
	}
	d.count(func(s *Stats) { s.BytesOut += sent })
	return nil
}

// content reads a local blob that is small enough.
func (d *DHT) content(ctx context.Context, key digest.Digest) ([]byte, error) {
	if key.Size() == 0 {
		return nil, nil
	}
	r, err := d.opts.Blobs.Open(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("open %v: %w", key, err)
	}
	defer r.Close()
	content := make([]byte, key.Size())
	if _, err := io.ReadFull(r, content); err != nil {
		return nil, fmt.Errorf("read %v: %w", key, err)
	}
	return content, nil
}

// answerRead sends a range. A failure behind the header can only be told by
// breaking the stream.
func (d *DHT) answerRead(ctx context.Context, req *dhtpb.Request, ds []digest.Digest, w io.Writer) error {
	if len(ds) != 1 || req.GetOffset() < 0 || req.GetLength() < 0 || req.GetLength() > ds[0].Size()-req.GetOffset() {
		return fmt.Errorf("read of %d bytes at %d: %w", req.GetLength(), req.GetOffset(), errRange)
	}
	r, ok := d.open(ctx, ds[0])
	if err := wire.Write(w, &dhtpb.Response{Present: bitmap([]bool{ok})}); err != nil || !ok {
		return err
	}
	defer r.Close()
	n, err := io.CopyBuffer(w, onlyReader{io.NewSectionReader(r, req.GetOffset(), req.GetLength())}, make([]byte, sendPiece))
	d.count(func(s *Stats) { s.BytesOut += n })
	if err == nil && n < req.GetLength() {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("serve %v: %w", ds[0], err)
	}
	return nil
}

var errRange = errors.New("no such range")

// open returns a reader of a blob, if it is here and can be read.
func (d *DHT) open(ctx context.Context, key digest.Digest) (Reader, bool) {
	has, err := d.opts.Blobs.Has(ctx, []digest.Digest{key})
	if err != nil || !has[0] {
		return nil, false
	}
	r, err := d.opts.Blobs.Open(ctx, key)
	if err != nil {
		d.opts.Log.Warn("blob cannot be served", "digest", key, "error", err)
		return nil, false
	}
	return r, true
}

func (d *DHT) answerOutline(ctx context.Context, ds []digest.Digest, w io.Writer) error {
	if len(ds) != 1 || !outlined(ds[0]) {
		return fmt.Errorf("outline of %d digests: %w", len(ds), errRange)
	}
	outline, err := d.outlines.of(ctx, ds[0])
	if err != nil {
		d.opts.Log.Debug("no outline", "digest", ds[0], "error", err)
	}
	if err := wire.Write(w, &dhtpb.Response{Present: bitmap([]bool{err == nil})}); err != nil {
		return err
	}
	_, err = w.Write(outline)
	return err
}

func bitmap(has []bool) []byte {
	bits := make([]byte, (len(has)+7)/8)
	for i, ok := range has {
		if ok {
			bits[i/8] |= 1 << (i % 8)
		}
	}
	return bits
}

// onlyReader hides WriteTo, which would choose a buffer of its own.
type onlyReader struct{ io.Reader }

// pacedWriter gives up on a peer that does not read on.
type pacedWriter struct{ peer.Stream }

func (w pacedWriter) Write(b []byte) (int, error) {
	written := 0
	for written < len(b) {
		if err := w.SetDeadline(time.Now().Add(sendStall)); err != nil {
			return written, err
		}
		n, err := w.Stream.Write(b[written:min(written+sendPiece, len(b))])
		written += n
		if err != nil {
			return written, err
		}
	}
	return written, nil
}
