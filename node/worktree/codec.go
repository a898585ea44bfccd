package worktree

import (
	"encoding/binary"
	"errors"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store/digest"
)

// errCorrupt says that kept state is not what this version writes. It is then
// as if there were none.
var errCorrupt = errors.New("corrupt tree state")

func appendString[S ~string | ~[]byte](b []byte, s S) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func appendCount(b []byte, n uint64) []byte { return binary.AppendUvarint(b, n) }

func appendDigest(b []byte, d digest.Digest) []byte {
	if d.IsZero() {
		return append(b, 0)
	}
	return append(append(b, 1), d.Binary()...)
}

func appendFlag(b []byte, flag bool) []byte {
	if flag {
		return append(b, 1)
	}
	return append(b, 0)
}

func appendStat(b []byte, s Stat) []byte {
	b = appendFlag(append(b, byte(s.Kind)), s.Executable)
	b = binary.AppendVarint(b, s.Size)
	b = binary.AppendVarint(b, s.ModTime)
	b = binary.AppendVarint(b, s.ChangeTime)
	b = binary.AppendUvarint(b, s.Inode)
	b = binary.AppendUvarint(b, uint64(s.Links))
	return appendString(b, s.Target)
}

func appendOutput(b []byte, o action.Output) []byte {
	b = appendFlag(append(appendString(b, o.Path), byte(o.Kind)), o.Executable)
	return appendString(appendDigest(b, o.Digest), o.Target)
}

// decoder reads what the functions above wrote. After an error everything it
// returns is zero.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail() { d.b, d.err = nil, errCorrupt }

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) bytes(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) byte() byte {
	if b := d.bytes(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func (d *decoder) flag() bool     { return d.byte() == 1 }
func (d *decoder) string() string { return string(d.bytes(d.uvarint())) }

// count reads the number of elements to follow, each of a byte at least.
func (d *decoder) count() int {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *decoder) digest() digest.Digest {
	if !d.flag() {
		return digest.Digest{}
	}
	v, err := digest.FromBinary(d.bytes(digest.BinarySize))
	if err != nil {
		d.fail()
	}
	return v
}

func (d *decoder) stat() Stat {
	return Stat{
		Kind: Kind(d.byte()), Executable: d.flag(), Size: d.varint(), ModTime: d.varint(), ChangeTime: d.varint(),
		Inode: d.uvarint(), Links: uint32(d.uvarint()), Target: d.string(),
	}
}

func (d *decoder) output() action.Output {
	return action.Output{
		Path: d.string(), Kind: action.OutputKind(d.byte()), Executable: d.flag(), Digest: d.digest(), Target: d.string(),
	}
}
