package cas

import (
	"bytes"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/grpc/codes"

	"github.com/buildnet/buildnet/node/reapi/fault"
	"github.com/buildnet/buildnet/store"
)

// maxWindow bounds what a decoder keeps of what it has decoded, in bytes: what
// zstd asks every decoder to support (RFC 8878, section 3.1.1.1.2). encodeWindow
// is that of ours.
const (
	maxWindow    = 8 << 20
	encodeWindow = 1 << 20
)

// Coders are made without goroutines of their own, and used again: what they
// hold is larger than most blobs.
var (
	decoders = sync.Pool{New: func() any {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			panic(fmt.Sprintf("cas: zstd refuses our options: %v", err))
		}
		return d
	}}
	encoders = sync.Pool{New: func() any {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(encodeWindow), zstd.WithZeroFrames(true), zstd.WithEncoderLevel(zstd.SpeedFastest))
		if err != nil {
			panic(fmt.Sprintf("cas: zstd refuses our options: %v", err))
		}
		return e
	}}
)

// decode writes what r holds, decompressed, to w. Errors of r and w come as they
// are; those of the compression are INVALID_ARGUMENT.
func decode(w io.Writer, r io.Reader) error {
	d := decoders.Get().(*zstd.Decoder)
	defer func() {
		_ = d.Reset(nil) // lets go of r
		decoders.Put(d)
	}()
	source := &noting{r: r}
	target := &notingWriter{w: w}
	err := d.Reset(source)
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
func decompress(content []byte, size int64) ([]byte, error) {
	b := &bounded{left: size}
	if err := decode(b, bytes.NewReader(content)); err != nil {
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
