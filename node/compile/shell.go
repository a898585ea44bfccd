package compile

import (
	"slices"
	"strings"
)

// maxWords bounds a command line: the kernel's own limit is 2 MiB of them.
const maxWords = 1 << 18

// Words splits a command for /bin/sh where the shell would do nothing but that:
// words, quotes and backslashes. It reports whether that is all there is.
func Words(command string) ([]string, bool) {
	all, ok := Commands(command)
	if !ok || len(all) != 1 || slices.Contains(own, all[0][0]) {
		return nil, false
	}
	return all[0], true
}

// Commands splits commands for /bin/sh that are run one after the other, each
// if the one before succeeded, as "a && b". As for Words, there is nothing else
// for the shell to do.
func Commands(text string) ([][]string, bool) {
	s := splitter{in: text}
	var all [][]string
	for {
		for s.i < len(s.in) && !strings.HasPrefix(s.in[s.i:], "&&") {
			if !s.step() || len(s.words) > maxWords {
				return nil, false
			}
		}
		s.end()
		if len(s.words) == 0 || slices.Contains(reserved, s.words[0]) || strings.Contains(s.words[0], "=") {
			return nil, false
		}
		all = append(all, s.words)
		if s.i >= len(s.in) {
			return all, true
		}
		s.i += len("&&")
		s.words = nil
	}
}

// reserved are first words that are the shell's own, as far as they would hide
// a program.
var reserved = []string{"!", "case", "do", "done", "elif", "else", "esac", "exec", "fi", "for", "if", "then", "until", "while", "{", "}", ".", "command", "eval"}

// own are commands of the shell itself that are understood here.
var own = []string{":", "cd"}

// splitter is the state of Words.
type splitter struct {
	in     string
	i      int
	word   strings.Builder
	inside bool // a word has begun, though it may be empty
	words  []string
}

func (s *splitter) end() {
	if s.inside {
		s.words = append(s.words, s.word.String())
	}
	s.word.Reset()
	s.inside = false
}

// step reads one character, or one quoted string. It reports whether the shell
// sees nothing special there.
func (s *splitter) step() bool {
	c := s.in[s.i]
	s.i++
	switch c {
	case ' ', '\t':
		s.end()
		return true
	case '\'':
		return s.single()
	case '"':
		return s.double()
	case '\\':
		return s.escaped()
	case '|', '&', ';', '<', '>', '(', ')', '$', '`', '*', '?', '[', '\n', 0:
		return false
	case '#', '~':
		if !s.inside {
			return false
		}
	}
	s.put(c)
	return true
}

func (s *splitter) put(c byte) {
	s.word.WriteByte(c)
	s.inside = true
}

func (s *splitter) escaped() bool {
	if s.i >= len(s.in) || s.in[s.i] == '\n' {
		return false
	}
	s.put(s.in[s.i])
	s.i++
	return true
}

func (s *splitter) single() bool {
	n := strings.IndexByte(s.in[s.i:], '\'')
	if n < 0 {
		return false
	}
	s.word.WriteString(s.in[s.i : s.i+n])
	s.inside = true
	s.i += n + 1
	return true
}

func (s *splitter) double() bool {
	s.inside = true
	for s.i < len(s.in) {
		c := s.in[s.i]
		s.i++
		switch c {
		case '"':
			return true
		case '$', '`':
			return false
		case '\\':
			if s.i < len(s.in) && strings.IndexByte("$`\"\\", s.in[s.i]) >= 0 {
				c = s.in[s.i]
				s.i++
			} else if s.i < len(s.in) && s.in[s.i] == '\n' {
				return false
			}
		}
		s.put(c)
	}
	return false
}
