// Package cdc cuts blobs where their content says, so that blobs that are alike have
// chunks in common: the chunking functions of the Remote Execution API
// (remote_execution.proto, ChunkingFunction) with the parameters that nodes announce.
// They are the same on every node, and so are the chunks. It is pure. Start reading at
// New.
package cdc

import (
	"bufio"
	"io"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"github.com/buildbarn/go-cdc"
)

// What the specification recommends, in bytes: clients that share a cache with others
// have cut by it already.
const (
	fastAverage   = 512 << 10
	repMaxMin     = 256 << 10
	repMaxHorizon = 8 * repMaxMin
)

// MinChunk is the shortest that a chunk is, but for the last of a blob, in bytes.
const MinChunk = fastAverage / 4

// Fast are the parameters of FAST_CDC_2020.
func Fast() *repb.FastCdc2020Params { return &repb.FastCdc2020Params{AvgChunkSizeBytes: fastAverage} }

// RepMax are the parameters of REP_MAX_CDC.
func RepMax() *repb.RepMaxCdcParams {
	return &repb.RepMaxCdcParams{MinChunkSizeBytes: repMaxMin, HorizonSizeBytes: repMaxHorizon}
}

// Served reports whether blobs can be cut by fn.
func Served(fn repb.ChunkingFunction_Value) bool {
	return fn == repb.ChunkingFunction_FAST_CDC_2020 || fn == repb.ChunkingFunction_REP_MAX_CDC
}

// Chunks are those of one blob.
type Chunks interface {
	// ReadNextChunk returns the next chunk, which is valid until the next call;
	// io.EOF after the last.
	ReadNextChunk() ([]byte, error)
}

// New returns the chunks of what r holds by fn, which is served. It takes some 5 MiB
// of memory.
func New(fn repb.ChunkingFunction_Value, r io.Reader) Chunks {
	if fn == repb.ChunkingFunction_REP_MAX_CDC {
		return newRepMax(r, repMaxMin, repMaxHorizon)
	}
	return newFast(r, fast512)
}

func newRepMax(r io.Reader, minBytes, horizon int) Chunks {
	return cdc.NewRepMaxContentDefinedChunker(ahead(r, 2*minBytes+horizon), &cdc.FastContentDefinedChunkerGearTable, minBytes, horizon)
}

// ahead reads r so that n bytes can be looked at, and twice that at a time: what is
// left is moved when there are less.
func ahead(r io.Reader, n int) *bufio.Reader { return bufio.NewReaderSize(r, 2*n) }
