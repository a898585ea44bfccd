package cdc

import (
	"bufio"
	"crypto/md5" //nolint:gosec // a table of numbers is made of it
	"encoding/binary"
	"errors"
	"io"
)

// shape is a set of parameters of FastCDC. Until a chunk has average bytes a place to
// cut needs all bits of harder to be 0 in the hash, behind that those of easier: Xia et
// al., The Design of Fast Content-Defined Chunking for Data Deduplication Based Storage
// Systems (2020), section 3.5.
type shape struct {
	minimum, average, maximum int
	harder, easier            uint64
}

// fast512 has chunks of 512 KiB on average, with masks of 2 bits more and less than the
// 19 of that: normalisation 2, as FastCdc2020Params prescribes. Which bits they are is
// from the authors' own program.
var fast512 = shape{
	minimum: fastAverage / 4, average: fastAverage, maximum: fastAverage * 4,
	harder: 0x0000d91767537000, easier: 0x0000d90703537000,
}

// gear has for each byte the upper half of the MD5 of 64 such bytes. The specification
// says "of the byte"; its test vectors, and all programs, have it as here.
var gear = func() (table [256]uint64) {
	var same [64]byte
	for b := range table {
		for i := range same {
			same[i] = byte(b)
		}
		sum := md5.Sum(same[:]) //nolint:gosec // as above
		table[b] = binary.BigEndian.Uint64(sum[:8])
	}
	return table
}()

// fastChunks implements Chunks.
type fastChunks struct {
	r     *bufio.Reader
	shape shape
	given int // of r, by the last call
}

func newFast(r io.Reader, s shape) *fastChunks { return &fastChunks{r: ahead(r, s.maximum), shape: s} }

// ReadNextChunk implements Chunks.
func (f *fastChunks) ReadNextChunk() ([]byte, error) {
	if _, err := f.r.Discard(f.given); err != nil {
		return nil, err
	}
	f.given = 0
	data, err := f.r.Peek(f.shape.maximum)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(data) == 0 {
		return nil, io.EOF
	}
	f.given = f.shape.cut(data)
	return data[:f.given], nil
}

// cut returns the length of the chunk at the beginning of data, which is no longer than
// a chunk may be. The byte behind the chunk is in the hash that ends it. As in the
// paper (section 3.7), bytes are taken in pairs, and one without another is not looked
// at.
func (s shape) cut(data []byte) int {
	if len(data) <= s.minimum {
		return len(data)
	}
	var hash uint64
	end, normal := len(data)&^1, min(len(data), s.average)&^1
	at := s.minimum &^ 1
	for ; at < normal; at++ {
		if hash = hash<<1 + gear[data[at]]; hash&s.harder == 0 {
			return at
		}
	}
	for ; at < end; at++ {
		if hash = hash<<1 + gear[data[at]]; hash&s.easier == 0 {
			return at
		}
	}
	return len(data)
}
