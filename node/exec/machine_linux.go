package exec

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/buildnet/buildnet/store/digest"
)

// machine knows what files of this machine hold, so that each is read once
// until it changes. Its methods may be called concurrently.
type machine struct {
	mu    sync.Mutex
	known map[string]sighting
}

// sighting is what a file of the machine was when it was looked at.
type sighting struct {
	path   string
	stamp  stamp
	digest digest.Digest
}

// stamp tells a changed file from an unchanged one, without reading it.
type stamp struct {
	mode         uint32
	size         int64
	mtime, ctime int64
	dev, ino     uint64
}

// maxKnown bounds the files that are remembered: a few times the headers that
// all builds of a machine read.
const maxKnown = 100_000

// unsettled is how near to now a change may be for its time not to tell it from
// the next one yet.
const unsettled = 50 * time.Millisecond

func newMachine() *machine { return &machine{known: map[string]sighting{}} }

// look says what is at a path, without following a link; the zero stamp is
// nothing.
func look(p string) stamp {
	var st syscall.Stat_t
	for {
		err := syscall.Lstat(p, &st)
		if err == nil {
			return stampOf(&st)
		}
		if !errors.Is(err, syscall.EINTR) {
			return stamp{}
		}
	}
}

//nolint:unconvert // the fields have other types on other architectures
func stampOf(st *syscall.Stat_t) stamp {
	return stamp{
		mode: st.Mode, size: st.Size, dev: uint64(st.Dev), ino: st.Ino,
		mtime: st.Mtim.Nano(), ctime: st.Ctim.Nano(),
	}
}

func (s stamp) kind() uint32 { return s.mode & syscall.S_IFMT }

func (s stamp) isDir() bool { return s.kind() == syscall.S_IFDIR }

func (s stamp) isFile() bool { return s.kind() == syscall.S_IFREG }

func (s stamp) isLink() bool { return s.kind() == syscall.S_IFLNK }

func (s stamp) executable() bool { return s.mode&0o111 != 0 }

// readable reports whether everybody can read the file, or go through the
// directory.
func (s stamp) readable() bool {
	if s.isDir() {
		return s.mode&0o005 == 0o005
	}
	return s.mode&0o004 != 0
}

// holds returns what was seen of the file at p, whose stamp is now, and whether
// it holds d. A file that cannot be read holds nothing.
func (m *machine) holds(p string, now stamp, d digest.Digest) (sighting, bool) {
	if now.size != d.Size() {
		return sighting{}, false
	}
	m.mu.Lock()
	s, ok := m.known[p]
	m.mu.Unlock()
	if ok && s.stamp == now && s.digest.Function() == d.Function() {
		return s, s.digest == d
	}
	hash, err := hashOf(p, now, d.Function())
	if err != nil {
		return sighting{}, false
	}
	s = sighting{path: p, stamp: now, digest: hash}
	m.keep(s)
	return s, s.digest == d
}

func (m *machine) keep(s sighting) {
	if time.Since(time.Unix(0, max(s.stamp.mtime, s.stamp.ctime))) < unsettled {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.known) >= maxKnown {
		clear(m.known)
	}
	m.known[s.path] = s
}

var errChanged = errors.New("it changed while it was read")

// hashOf hashes a regular file whose stamp is now, before and after.
func hashOf(p string, now stamp, f digest.Function) (digest.Digest, error) {
	fd, err := unix.Open(p, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return digest.Digest{}, err
	}
	file := os.NewFile(uintptr(fd), p)
	defer file.Close()
	h := digest.NewHasher(f)
	if _, err := io.CopyN(h, file, now.size); err != nil {
		return digest.Digest{}, err
	}
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil || stampOf(&st) != now {
		return digest.Digest{}, errors.Join(err, errChanged)
	}
	return h.Sum(), nil
}

// unchanged returns the first of the files that is not as it was seen.
func unchanged(seen []sighting) (changed string, ok bool) {
	for i := range seen {
		if look(seen[i].path) != seen[i].stamp {
			return seen[i].path, false
		}
	}
	return "", true
}
