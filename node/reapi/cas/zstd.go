package cas

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/grpc/codes"

	"github.com/buildnet/buildnet/node/reapi/fault"
	"github.com/buildnet/buildnet/node/reapi/limits"
	"github.com/buildnet/buildnet/node/reapi/room"
	"github.com/buildnet/buildnet/store"
)

// maxWindow bounds what a decoder keeps of what it has decoded, in bytes: what
// zstd asks every decoder to support (RFC 8878, section 3.1.1.1.2). encodeWindow
// is that of ours.
const (
	maxWindow    = 8 << 20
	encodeWindow = 1 << 20

	// encoderBytes is what an encoder takes; a decoder takes decoderBytes beside its
	// window.
	encoderBytes = 2 * encodeWindow
	decoderBytes = 1 << 20
)

// windows are those that there are decoders for: a client that needs a small one takes
// no more.
var windows = [...]int64{1 << 20, 2 << 20, 4 << 20, maxWindow}

// Coders are made without goroutines of their own, and used again: what they
// hold is larger than most blobs.
var (
	decoders = [len(windows)]sync.Pool{
		{New: func() any { return newDecoder(windows[0]) }}, {New: func() any { return newDecoder(windows[1]) }},
		{New: func() any { return newDecoder(windows[2]) }}, {New: func() any { return newDecoder(windows[3]) }},
	}
	encoders = sync.Pool{New: func() any {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(encodeWindow), zstd.WithZeroFrames(true), zstd.WithEncoderLevel(zstd.SpeedFastest))
		if err != nil {
			panic(fmt.Sprintf("cas: zstd refuses our options: %v", err))
		}
		return e
	}}
)

func newDecoder(window int64) *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(uint64(window)))
	if err != nil {
		panic(fmt.Sprintf("cas: zstd refuses our options: %v", err))
	}
	return d
}

// sniff returns which decoder the first frame of r needs, and r from its beginning.
// Frames that follow may not need a larger one.
func sniff(r io.Reader) (class int, whole io.Reader, err error) {
	head := make([]byte, zstd.HeaderMaxSize)
	n, err := io.ReadFull(r, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return 0, nil, err
	}
	whole = io.MultiReader(bytes.NewReader(head[:n]), r)
	var h zstd.Header
	if h.Decode(head[:n]) != nil {
		return 0, whole, nil //nolint:nilerr // the decoder says what is wrong
	}
	needs := h.WindowSize
	if h.SingleSegment {
		needs = h.FrameContentSize
	}
	if h.Skippable {
		needs = maxWindow
	}
	for class < len(windows)-1 && uint64(windows[class]) < needs {
		class++
	}
	return class, whole, nil
}

// decode writes what r holds, decompressed, to w, when there is room for what that
// takes. Errors of r and w come as they are; those of the compression are
// INVALID_ARGUMENT.
func decode(ctx context.Context, w io.Writer, r io.Reader) error {
	class, r, err := sniff(r)
	if err != nil {
		return err
	}
	release, err := room.Take(ctx, windows[class]+decoderBytes)
	if err != nil {
		return err
	}
	defer release()
	d := decoders[class].Get().(*zstd.Decoder)
	defer func() {
		_ = d.Reset(nil) // lets go of r
		decoders[class].Put(d)
	}()
	source := &noting{r: r}
	target := &notingWriter{w: w}
	err = d.Reset(source)
	if err == nil {
		_, err = io.Copy(target, onlyReader{d})
	}
	switch {
	case target.err != nil:
		return target.err
	case source.err != nil:
		return source.err
	case err != nil:
		return fault.Errorf(codes.InvalidArgument, "zstd: %v", err)
	default:
		return nil
	}
}

// onlyReader hides WriteTo, which needs goroutines in a decoder.
type onlyReader struct{ io.Reader }

// noting keeps the error of a reader, which a decoder may replace by its own.
type noting struct {
	r   io.Reader
	err error
}

func (n *noting) Read(p []byte) (int, error) {
	k, err := n.r.Read(p)
	if err != nil && err != io.EOF {
		n.err = err
	}
	return k, err
}

type notingWriter struct {
	w   io.Writer
	err error
}

func (n *notingWriter) Write(p []byte) (int, error) {
	k, err := n.w.Write(p)
	if err != nil {
		n.err = err
	}
	return k, err
}

// bounded refuses more than left bytes.
type bounded struct {
	bytes.Buffer
	left int64
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, fmt.Errorf("decompressed it is longer than said: %w", store.ErrMismatch)
	}
	return b.Buffer.Write(p)
}

// decompress returns a blob that is said to be of size bytes.
func decompress(ctx context.Context, content []byte, size int64) ([]byte, error) {
	release, err := room.Take(ctx, 2*min(size, limits.MaxBatchBytes))
	if err != nil {
		return nil, err
	}
	defer release()
	b := &bounded{left: size}
	if err := decode(ctx, b, bytes.NewReader(content)); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func compress(content []byte) []byte {
	e := encoders.Get().(*zstd.Encoder)
	defer encoders.Put(e)
	return e.EncodeAll(content, nil)
}

// encode writes what r holds, compressed, to w.
func encode(w io.Writer, r io.Reader) error {
	e := encoders.Get().(*zstd.Encoder)
	defer func() {
		e.Reset(nil)
		encoders.Put(e)
	}()
	e.Reset(w)
	buf := buffers.Get().(*[chunkBytes]byte)
	defer buffers.Put(buf)
	if _, err := io.CopyBuffer(struct{ io.Writer }{e}, r, buf[:]); err != nil {
		return err
	}
	return e.Close()
}
