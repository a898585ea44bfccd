package manifest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/klauspost/compress/zstd"

	"github.com/buildnet/buildnet/store/digest"
)

// A manifest is encoded as a version, the table of all paths, and the runs, whose
// paths are places in the table; all of it compressed. The table is sorted, and
// of each path only what it does not begin with like the one before is written.

const (
	version = 1
	// maxBytes bounds an encoding before compression.
	maxBytes = 64 << 20
)

// ErrMalformed says that bytes are no manifest of this version.
var ErrMalformed = errors.New("malformed manifest")

var (
	encoder, _ = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault))
	decoder, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxBytes))
)

// Marshal encodes the manifest.
func (m *Manifest) Marshal() []byte {
	table := m.table()
	place := make(map[string]uint64, len(table))
	b := binary.AppendUvarint([]byte{version}, uint64(len(table)))
	before := ""
	for i, p := range table {
		place[p] = uint64(i)
		n := common(before, p)
		b = appendString(binary.AppendUvarint(b, uint64(n)), p[n:])
		before = p
	}
	b = binary.AppendUvarint(b, uint64(len(m.runs)))
	for i := range m.runs {
		b = m.runs[i].append(b, place)
	}
	return encoder.EncodeAll(b, nil)
}

// table returns all paths, each once and sorted.
func (m *Manifest) table() []string {
	all := map[string]struct{}{}
	for i := range m.runs {
		r := &m.runs[i]
		for _, f := range r.Read {
			all[f.Path] = struct{}{}
		}
		for _, l := range r.Links {
			all[l.Path] = struct{}{}
		}
		for _, ps := range [][]string{r.Present, r.Absent, r.Dirs} {
			for _, p := range ps {
				all[p] = struct{}{}
			}
		}
	}
	return slices.Sorted(maps.Keys(all))
}

func common(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

func (r *Run) append(b []byte, place map[string]uint64) []byte {
	b = append(b, r.Action.Binary()...)
	b = binary.AppendUvarint(b, uint64(len(r.Read)))
	for _, f := range r.Read {
		b = append(binary.AppendUvarint(b, place[f.Path]), f.Digest.Binary()...)
	}
	b = binary.AppendUvarint(b, uint64(len(r.Links)))
	for _, l := range r.Links {
		b = appendString(binary.AppendUvarint(b, place[l.Path]), l.Target)
	}
	for _, ps := range [][]string{r.Present, r.Absent, r.Dirs} {
		b = binary.AppendUvarint(b, uint64(len(ps)))
		for _, p := range ps {
			b = binary.AppendUvarint(b, place[p])
		}
	}
	return b
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// Unmarshal decodes what Marshal wrote, and trusts none of it.
func Unmarshal(b []byte) (Manifest, error) {
	plain, err := decoder.DecodeAll(b, nil)
	if err != nil {
		return Manifest{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	r := reader{b: plain}
	if r.count() != version {
		return Manifest{}, ErrMalformed
	}
	r.readTable()
	var m Manifest
	for range min(r.count(), maxRuns) {
		m.runs = append(m.runs, r.run())
	}
	if r.failed || len(r.b) > 0 {
		return Manifest{}, ErrMalformed
	}
	return m, nil
}

// reader reads an encoding. What it returns after a failure is empty.
type reader struct {
	b      []byte
	table  []string
	failed bool
}

func (r *reader) fail() { r.b, r.failed = nil, true }

func (r *reader) number() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

// count is a number of things, each of a byte at least.
func (r *reader) count() int {
	v := r.number()
	if v > uint64(len(r.b)) {
		r.fail()
		return 0
	}
	return int(v)
}

func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		r.fail()
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) text() string { return string(r.take(r.count())) }

func (r *reader) readTable() {
	before := ""
	size := 0
	for range r.count() {
		n := r.number()
		if n > uint64(len(before)) {
			r.fail()
			return
		}
		before = before[:n] + r.text()
		if size += len(before); size > maxBytes {
			r.fail()
			return
		}
		r.table = append(r.table, before)
	}
}

func (r *reader) path() string {
	n := r.number()
	if n >= uint64(len(r.table)) {
		r.fail()
		return ""
	}
	return r.table[n]
}

func (r *reader) digest() digest.Digest {
	d, err := digest.FromBinary(r.take(digest.BinarySize))
	if err != nil {
		r.fail()
	}
	return d
}

func (r *reader) run() Run {
	run := Run{Action: r.digest()}
	for range r.count() {
		run.Read = append(run.Read, File{r.path(), r.digest()})
	}
	for range r.count() {
		run.Links = append(run.Links, Link{r.path(), r.text()})
	}
	for _, ps := range []*[]string{&run.Present, &run.Absent, &run.Dirs} {
		for range r.count() {
			*ps = append(*ps, r.path())
		}
	}
	return run
}
