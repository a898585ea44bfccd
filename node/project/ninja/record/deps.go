package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
)

const (
	depsSignature = "# ninjadeps\n"
	currentDeps   = 4

	// maxRecord is the longest record in bytes that ninja reads.
	maxRecord = 1<<19 - 1

	// isDeps marks the length of a record of inputs; other records are paths.
	isDeps = 1 << 31

	// depsHead is what precedes the inputs in a record: output, mtime in halves.
	depsHead = 12

	// A log is written anew when it has more than this many records of inputs,
	// and more than this many for each output.
	minCompactDeps   = 1000
	compactDepsRatio = 3
)

// ErrRecordTooLong is returned for inputs, or a path, that ninja could not read
// back. Its text is the system's for ERANGE, as ninja has it.
var ErrRecordTooLong = errors.New("Numerical result out of range") //nolint:staticcheck // ninja's words

// DepsHeader begins a .ninja_deps.
func DepsHeader() []byte {
	return binary.LittleEndian.AppendUint32([]byte(depsSignature), currentDeps)
}

// Deps are the inputs that commands were found to read: a .ninja_deps. Paths
// have numbers in the order of their first mention in the file.
type Deps struct {
	paths []string
	ids   map[string]uint32
	found []*Inputs // by the number of the output
	stale bool
}

// Inputs are what the command of one output was found to read.
type Inputs struct {
	// Mtime is the output's, in nanoseconds, when they were found.
	Mtime int64
	ids   []uint32
}

// NewDeps are those of a directory in which nothing was built.
func NewDeps() *Deps { return &Deps{ids: map[string]uint32{}} }

// ReadDeps reads a .ninja_deps. What follows a record that is cut short or
// makes no sense is not used.
func ReadDeps(data []byte) (*Deps, Loaded) {
	d := NewDeps()
	if len(data) == 0 {
		return d, Loaded{}
	}
	header := DepsHeader()
	if !bytes.HasPrefix(data, header) {
		if bytes.HasPrefix(data, []byte(depsSignature+"\x01\x00\x00\x00")) {
			return d, Loaded{Warning: "deps log version change; rebuilding"}
		}
		return d, Loaded{Warning: "bad deps log signature or version; starting over"}
	}
	keep, records, outputs := len(header), 0, 0
	for len(data)-keep >= 4 {
		head := binary.LittleEndian.Uint32(data[keep:])
		size := int(head &^ isDeps)
		body := data[keep+4:]
		if size > maxRecord || size > len(body) || !d.take(head&isDeps != 0, body[:size], &outputs) {
			return d, Loaded{Warning: "premature end of file; recovering", Keep: keep}
		}
		if head&isDeps != 0 {
			records++
		}
		keep += 4 + size
	}
	d.stale = records > minCompactDeps && records > compactDepsRatio*outputs
	return d, Loaded{Keep: keep}
}

// take adds one record, and reports whether it makes sense. fresh counts
// outputs whose inputs were not known.
func (d *Deps) take(deps bool, body []byte, fresh *int) bool {
	if !deps {
		return d.takePath(body)
	}
	if len(body) < depsHead || len(body)%4 != 0 {
		return false
	}
	out := binary.LittleEndian.Uint32(body)
	in := &Inputs{Mtime: int64(binary.LittleEndian.Uint64(body[4:])), ids: make([]uint32, 0, len(body)/4-3)}
	for rest := body[depsHead:]; len(rest) > 0; rest = rest[4:] {
		id := binary.LittleEndian.Uint32(rest)
		if int64(id) >= int64(len(d.paths)) {
			return false
		}
		in.ids = append(in.ids, id)
	}
	if int64(out) >= int64(len(d.paths)) {
		return false
	}
	if d.found[out] == nil {
		*fresh++
	}
	d.found[out] = in
	return true
}

func (d *Deps) takePath(body []byte) bool {
	if len(body) < 8 || len(body)%4 != 0 {
		return false
	}
	// The complement of the number tells logs in which two programs wrote.
	if ^binary.LittleEndian.Uint32(body[len(body)-4:]) != uint32(len(d.paths)) {
		return false
	}
	path := body[:len(body)-4]
	for range 3 {
		if n := len(path) - 1; n > 0 && path[n] == 0 {
			path = path[:n]
		}
	}
	if _, known := d.ids[string(path)]; known || path[0] == 0 {
		return false
	}
	d.number(string(path))
	return true
}

func (d *Deps) number(path string) {
	path = strings.Clone(path) // it may be part of a longer text
	d.ids[path] = uint32(len(d.paths))
	d.paths = append(d.paths, path)
	d.found = append(d.found, nil)
}

// Paths are all that the log mentions, in its order.
func (d *Deps) Paths() []string { return d.paths }

// Lookup returns what the command of an output was found to read.
func (d *Deps) Lookup(output string) (inputs []string, mtime int64, ok bool) {
	id, known := d.ids[output]
	if !known || d.found[id] == nil {
		return nil, 0, false
	}
	in := d.found[id]
	inputs = make([]string, len(in.ids))
	for i, id := range in.ids {
		inputs[i] = d.paths[id]
	}
	return inputs, in.Mtime, true
}

// Dependent returns the first output of the log whose command reads input.
func (d *Deps) Dependent(input string) (string, bool) {
	id, known := d.ids[input]
	if !known {
		return "", false
	}
	i := slices.IndexFunc(d.found, func(in *Inputs) bool { return in != nil && slices.Contains(in.ids, id) })
	if i < 0 {
		return "", false
	}
	return d.paths[i], true
}

// Record remembers the inputs of an output, and returns what to append to the
// file: nothing if they are known already.
func (d *Deps) Record(output string, mtime int64, inputs []string) ([]byte, error) {
	if len(inputs) > (maxRecord-depsHead)/4 || tooLong(output) || slices.ContainsFunc(inputs, tooLong) {
		return nil, ErrRecordTooLong
	}
	var b []byte
	for i := -1; i < len(inputs); i++ {
		path := output
		if i >= 0 {
			path = inputs[i]
		}
		if _, known := d.ids[path]; !known {
			b = appendPath(b, path, uint32(len(d.paths)))
			d.number(path)
		}
	}
	in := &Inputs{Mtime: mtime, ids: make([]uint32, len(inputs))}
	for i, path := range inputs {
		in.ids[i] = d.ids[path]
	}
	id := d.ids[output]
	if old := d.found[id]; len(b) == 0 && old != nil && old.Mtime == mtime && slices.Equal(old.ids, in.ids) {
		return nil, nil
	}
	d.found[id] = in
	return appendDeps(b, id, in), nil
}

// tooLong also refuses no path at all, which has no record.
func tooLong(path string) bool { return path == "" || len(path) > maxRecord-8 }

func appendPath(b []byte, path string, id uint32) []byte {
	padding := (4 - len(path)%4) % 4
	b = binary.LittleEndian.AppendUint32(b, uint32(len(path)+padding+4))
	b = append(b, path...)
	b = append(b, make([]byte, padding)...)
	return binary.LittleEndian.AppendUint32(b, ^id)
}

func appendDeps(b []byte, id uint32, in *Inputs) []byte {
	b = binary.LittleEndian.AppendUint32(b, isDeps|uint32(depsHead+4*len(in.ids)))
	b = binary.LittleEndian.AppendUint32(b, id)
	b = binary.LittleEndian.AppendUint64(b, uint64(in.Mtime))
	for _, id := range in.ids {
		b = binary.LittleEndian.AppendUint32(b, id)
	}
	return b
}

// Stale reports whether most of the file's records are superseded.
func (d *Deps) Stale() bool { return d.stale }

// Compact forgets the inputs of outputs that are not live, and paths that no
// longer occur, and returns the file anew.
func (d *Deps) Compact(live func(output string) bool) []byte {
	b, anew := DepsHeader(), NewDeps()
	for id, in := range d.found {
		if in == nil || !live(d.paths[id]) {
			continue
		}
		inputs, mtime, _ := d.Lookup(d.paths[id])
		// What was in a record fits into one.
		more, _ := anew.Record(d.paths[id], mtime, inputs)
		b = append(b, more...)
	}
	*d = *anew
	return b
}
