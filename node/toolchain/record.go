package toolchain

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"
)

// stat is what tells a changed file from an unchanged one, without reading it.
// The zero stat is that of a file which is not there.
type stat struct {
	Mode         uint32
	Size         int64
	MTime, CTime int64
	Dev, Ino     uint64
}

// watch says how often a file is looked at.
type watch uint8

const (
	// seldom: a file whose replacement its directory shows.
	seldom watch = iota
	// often: a directory, a file that must stay absent, a program that most
	// commands do not run. Not looked at while the prober watches directories.
	often
	// always: a program or a database that the digest is named after.
	always
)

// fact is a file that a digest is of, or one that must stay absent.
type fact struct {
	Path  string
	Stat  stat
	Hash  string // of a regular file that was read
	Watch watch
}

func (f *fact) holds() bool {
	now, _ := statOf(f.Path)
	return now == f.Stat
}

// record is a digest of a plain spec and all that it is of.
type record struct {
	Digest string
	Facts  []fact
	// Mounts is the mount table: over a file that a record is of, another may
	// be mounted.
	Mounts string
	// programs are the facts that are always looked at: a host has ten thousand
	// others, and each action asks more than once.
	programs []*fact
	native   string // the digest together with the processor
}

// digest is that of s, which differs from what r is of at most by the processor.
func (r *record) digest(s Spec) string {
	if _, ok := s.plain(); ok {
		return r.native
	}
	return r.Digest
}

// index is called once, before others see the record.
func (r *record) index() {
	for i := range r.Facts {
		if f := &r.Facts[i]; f.Watch == always {
			r.programs = append(r.programs, f)
		}
	}
	r.native = onProcessor(r.Digest, processor())
}

// holds reports whether every file is as it was.
func (r *record) holds() bool {
	return !slices.ContainsFunc(r.Facts, func(f fact) bool { return !f.holds() })
}

// fresh is holds for the facts that are looked at that often. With often it
// overlooks only what was changed in place and is no program, and what was
// mounted over such a file: the mount table shows that something was.
func (r *record) fresh(w watch) bool {
	if w == always {
		return !slices.ContainsFunc(r.programs, func(f *fact) bool { return !f.holds() })
	}
	return !slices.ContainsFunc(r.Facts, func(f fact) bool { return f.Watch >= w && !f.holds() })
}

// racy is how near to now a change may be for its time not to tell it from
// another one yet.
const racy = 50 * time.Millisecond

// settle makes the facts of what changed just before a look, or while it went on, never
// hold: drivers may have said before what is looked at later. What has a time to come,
// since the clock was wrong once, would do so for as long as that is: of it only files
// that were read do not hold, a change of which might not show.
func (r *record) settle(began time.Time) {
	over := time.Now().Add(racy)
	for i := range r.Facts {
		f := &r.Facts[i]
		changed := time.Unix(0, f.Stat.CTime)
		if began.Sub(changed) < racy && (f.Hash != "" || changed.Before(over)) {
			f.Stat.CTime = -1
		}
	}
}

// recordVersion changes whenever a digest comes about in another way.
const recordVersion = 4

func (p *Prober) recordKey(s Spec) []byte {
	return fmt.Appendf(nil, "toolchain/%d/%s\x00%s\x00%s\x00%q", recordVersion, s.Spec, s.Dirs, p.opts.Path, p.opts.Dirs)
}

func (r *record) encode() ([]byte, error) {
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	if err := gob.NewEncoder(z).Encode(r); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func decodeRecord(b []byte) (*record, error) {
	z, err := zstd.NewReader(bytes.NewReader(b), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(1<<30))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	var r record
	return &r, gob.NewDecoder(z).Decode(&r)
}
