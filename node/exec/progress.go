package exec

import (
	"bytes"
	"io"
	"strconv"
	"strings"
)

// A command says how far it is by a line of what it prints that begins with
//
//	[12/345]   so many parts of so many
//	[ 42%]     so many per cent
//	42%        the same
//
// as Ninja, CMake and many others do. Lines end with a newline or, as those that
// are written over, with a carriage return. No variable tells a command of it:
// what it does must not depend on who looks.

// maxMark is the length of the beginning of a line that is looked at.
const maxMark = 32

// marks passes on what is written, and tells of the progress that it says.
type marks struct {
	next io.Writer
	tell func(percent int)

	line    [maxMark]byte // the beginning of the present line
	n       int
	passing bool // the rest of the line is of no interest
}

// Write implements io.Writer.
func (m *marks) Write(b []byte) (int, error) {
	m.look(b)
	return m.next.Write(b)
}

func (m *marks) look(b []byte) {
	for len(b) > 0 {
		end := bytes.IndexAny(b, "\r\n")
		if !m.passing {
			taken := b
			if end >= 0 {
				taken = b[:end]
			}
			m.n += copy(m.line[m.n:], taken)
			m.passing = m.n == maxMark
			if end >= 0 || m.passing {
				m.judge()
			}
		}
		if end < 0 {
			return
		}
		m.n, m.passing = 0, false
		b = b[end+1:]
	}
}

func (m *marks) judge() {
	if percent, ok := progressOf(string(m.line[:m.n])); ok {
		m.tell(percent)
	}
}

// progressOf returns what the beginning of a line says of the progress, in per
// cent.
func progressOf(line string) (percent int, ok bool) {
	text := strings.TrimLeft(line, " ")
	inner, bracketed := strings.CutPrefix(text, "[")
	if bracketed {
		if text, _, ok = strings.Cut(inner, "]"); !ok {
			return 0, false
		}
		text = strings.TrimSpace(text)
		if done, all, is := strings.Cut(text, "/"); is {
			return ratio(strings.TrimSpace(done), strings.TrimSpace(all))
		}
	}
	number, rest, is := strings.Cut(text, "%")
	if !is || bracketed && rest != "" {
		return 0, false
	}
	whole, fraction, _ := strings.Cut(number, ".")
	if strings.Trim(fraction, "0123456789") != "" {
		return 0, false
	}
	n, ok := count(whole)
	return n, ok && n <= 100
}

func ratio(done, all string) (percent int, ok bool) {
	n, isNumber := count(done)
	of, isCount := count(all)
	if !isNumber || !isCount || n > of || of == 0 {
		return 0, false
	}
	return n * 100 / of, true
}

// count reads a number without a sign, of nine digits at most.
func count(text string) (n int, ok bool) {
	if text == "" || len(text) > 9 || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(text)
	return n, err == nil
}
