package cdc

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/iotest"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"github.com/buildbarn/go-cdc"
)

// random returns bytes, the same for the same seed.
func random(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 0))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// lengths reads all chunks, which must be content.
func lengths(t testing.TB, c Chunks, content []byte) (all []int) {
	t.Helper()
	for rest := content; ; {
		chunk, err := c.ReadNextChunk()
		if errors.Is(err, io.EOF) {
			if len(rest) > 0 {
				t.Fatalf("the last %d bytes of %d are in no chunk", len(rest), len(content))
			}
			return all
		}
		if err != nil || len(chunk) == 0 || !bytes.HasPrefix(rest, chunk) {
			t.Fatalf("chunk %d: %d bytes, %v", len(all), len(chunk), err)
		}
		all = append(all, len(chunk))
		rest = rest[len(chunk):]
	}
}

// Expected is what github.com/buildbuddy-io/fastcdc2020 makes of the same, which the
// specification names as an implementation.
func TestFastCDCIsThatOfOthers(t *testing.T) {
	// The parameters of fastcdc2020_test_vectors.txt of the specification.
	fast16 := shape{minimum: 4096, average: 16384, maximum: 65535, harder: 0x0000d90303537000, easier: 0x0000d90103530000}
	for _, c := range []struct {
		shape   shape
		content []byte
		want    []int
	}{
		{fast512, random(2, 3_000_001), []int{427204, 741743, 735038, 237379, 677550, 181087}},
		{fast512, make([]byte, 3<<20), []int{2 << 20, 1 << 20}},
		{fast512, random(3, MinChunk+3), []int{MinChunk + 3}},
		{fast512, nil, nil},
		{fast16, random(1, 200_001), []int{19907, 19112, 17766, 22105, 21202, 18952, 20331, 17374, 17986, 5241, 9870, 10155}},
	} {
		if got := lengths(t, newFast(bytes.NewReader(c.content), c.shape), c.content); !slices.Equal(got, c.want) {
			t.Errorf("%d bytes: %v, want %v", len(c.content), got, c.want)
		}
	}
}

// The library has a second implementation, which is simple and slow.
func TestRepMaxCDCIsThatOfItsAuthors(t *testing.T) {
	for seed := range uint64(8) {
		content := random(seed, 300_000+int(seed))
		simple := cdc.NewSimpleRepMaxContentDefinedChunker(ahead(bytes.NewReader(content), 1<<20), &cdc.FastContentDefinedChunkerGearTable, 2048, 16384)
		want, got := lengths(t, simple, content), lengths(t, newRepMax(bytes.NewReader(content), 2048, 16384), content)
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d: %v, want %v", seed, got, want)
		}
	}
}

// What is put before a blob leaves the chunks behind it as they are; so do short reads.
func TestChunksDependOnContentAlone(t *testing.T) {
	content := random(7, 6<<20)
	for _, fn := range []repb.ChunkingFunction_Value{repb.ChunkingFunction_FAST_CDC_2020, repb.ChunkingFunction_REP_MAX_CDC} {
		before := lengths(t, New(fn, bytes.NewReader(content)), content)
		moved := append([]byte("a few bytes more"), content...)
		after := lengths(t, New(fn, iotest.HalfReader(bytes.NewReader(moved))), moved)
		same := 0
		for same < min(len(before), len(after)) && before[len(before)-1-same] == after[len(after)-1-same] {
			same++
		}
		if same < len(before)/2 {
			t.Errorf("%v: %v, then %v", fn, before, after)
		}
	}
}

func TestWhatCannotBeReadIsNoEnd(t *testing.T) {
	broken := errors.New("broken")
	for _, fn := range []repb.ChunkingFunction_Value{repb.ChunkingFunction_FAST_CDC_2020, repb.ChunkingFunction_REP_MAX_CDC} {
		c := New(fn, io.MultiReader(bytes.NewReader(random(1, 1000)), iotest.ErrReader(broken)))
		if chunk, err := c.ReadNextChunk(); !errors.Is(err, broken) {
			t.Errorf("%v: %d bytes, %v", fn, len(chunk), err)
		}
	}
}

func BenchmarkChunks(b *testing.B) {
	content := random(1, 64<<20)
	for _, fn := range []repb.ChunkingFunction_Value{repb.ChunkingFunction_FAST_CDC_2020, repb.ChunkingFunction_REP_MAX_CDC} {
		b.Run(fn.String(), func(b *testing.B) {
			b.SetBytes(int64(len(content)))
			for b.Loop() {
				for c := New(fn, bytes.NewReader(content)); ; {
					if _, err := c.ReadNextChunk(); err != nil {
						break
					}
				}
			}
		})
	}
}
