package remote

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
)

// locales is where glibc has its locales: each in a directory, or all in an
// archive.
const locales = "/usr/lib/locale"

// maxNames bounds what is read of the archive: the names of some ten thousand.
const maxNames = 1 << 20

// installed is what the function says, once an epoch.
func (d *Desk) installed(locale string) bool {
	is, known := d.locales[locale]
	if !known {
		is = installed(locale)
		d.locales[locale] = is
	}
	return is
}

// installed reports whether this machine has a locale, named with its character
// set as in en_US.utf8.
func installed(locale string) bool {
	if info, err := os.Stat(filepath.Join(locales, locale)); err == nil && info.IsDir() {
		return true
	}
	f, err := os.Open(filepath.Join(locales, "locale-archive"))
	if err != nil {
		return false
	}
	defer f.Close()
	return bytes.Contains(namesIn(f), append([]byte(locale), 0))
}

// namesIn returns the names in an archive: see glibc's locarchive.h. Its head has
// the offset of the strings at 20 and how many bytes they are at 24.
func namesIn(archive io.ReaderAt) []byte {
	var head [28]byte
	if _, err := archive.ReadAt(head[:], 0); err != nil {
		return nil
	}
	at, n := binary.NativeEndian.Uint32(head[20:]), binary.NativeEndian.Uint32(head[24:])
	names := make([]byte, min(n, maxNames))
	if _, err := archive.ReadAt(names, int64(at)); err != nil {
		return nil
	}
	return names
}
