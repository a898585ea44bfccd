package link

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"strconv"
	"strings"
)

// Of tells the kind of a file by its first bytes.
func Of(head []byte) Kind {
	switch {
	case bytes.HasPrefix(head, []byte("!<thin>\n")):
		return Thin
	case bytes.HasPrefix(head, []byte("!<arch>\n")), bytes.HasPrefix(head, []byte("BC\xc0\xde")), bytes.HasPrefix(head, []byte("\xde\xc0\x17\x0b")):
		return Object
	case bytes.HasPrefix(head, []byte(elf.ELFMAG)):
		return ofELF(head)
	case bytes.IndexByte(head, 0) >= 0:
		return Unknown
	}
	return Script
}

// ofELF tells a shared library, which names others, from what does not. One that
// is run is read as a shared library is by -R, and where it exports symbols.
func ofELF(head []byte) Kind {
	if len(head) < 18 {
		return Unknown
	}
	order := binary.ByteOrder(binary.LittleEndian)
	if elf.Data(head[elf.EI_DATA]) == elf.ELFDATA2MSB {
		order = binary.BigEndian
	}
	if elf.Type(order.Uint16(head[16:])) == elf.ET_REL {
		return Object
	}
	return Shared
}

// memberHead is the length of what stands before each member of an archive: see
// ar(5).
const memberHead = 60

var errThin = errors.New("a thin archive that is malformed")

// Members returns the names that a thin archive has of its members.
func Members(content []byte) ([]string, error) {
	var names []byte
	var heads []string
	left := bytes.TrimPrefix(content, []byte("!<thin>\n"))
	for len(left) > 0 {
		if len(left) < memberHead || string(left[58:60]) != "`\n" {
			return nil, errThin
		}
		head := strings.TrimRight(string(left[:16]), " ")
		size, err := strconv.Atoi(strings.TrimSpace(string(left[48:58])))
		left = left[memberHead:]
		if err != nil || size < 0 {
			return nil, errThin
		}
		switch head {
		case "/", "/SYM64/", "//": // only these are in it
			if size > len(left) {
				return nil, errThin
			}
			if head == "//" {
				names = left[:size]
			}
			left = left[min(size+size%2, len(left)):]
		default:
			heads = append(heads, head)
		}
	}
	members := make([]string, len(heads))
	for i, h := range heads {
		var ok bool
		if members[i], ok = member(h, names); !ok {
			return nil, errThin
		}
	}
	return members, nil
}

// member is a member's name: as it stands in its head, or where that says among
// the long ones, with a place in another archive behind.
func member(head string, names []byte) (string, bool) {
	at, long := strings.CutPrefix(head, "/")
	if !long {
		return strings.TrimSuffix(head, "/"), head != ""
	}
	at, _, _ = strings.Cut(at, ":")
	from, err := strconv.Atoi(at)
	if err != nil || from < 0 || from > len(names) {
		return "", false
	}
	name, _, found := bytes.Cut(names[from:], []byte("/\n"))
	return string(name), found && len(name) > 0
}
