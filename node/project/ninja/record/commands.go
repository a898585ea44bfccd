package record

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

const (
	oldestCommands  = 4 // it has the commands themselves instead of their hashes
	currentCommands = 5

	// maxLine is the longest line in bytes that is read: ninja's own buffer.
	maxLine = 256 << 10

	// A log is written anew when it has more than this many lines, and more
	// than this many for each output.
	minCompactCommands   = 100
	compactCommandsRatio = 3
)

// CommandsHeader begins a .ninja_log.
const CommandsHeader = "# ninja log v5\n"

// Command is what the last successful run that made an output was.
type Command struct {
	// Start and End are in milliseconds since the build's start.
	Start, End int
	// Mtime is in nanoseconds: the newest output's, or after a run that changed
	// no output of a restat rule the newest input's.
	Mtime int64
	Hash  uint64
}

// Commands are the commands of all outputs: a .ninja_log.
type Commands struct {
	entries map[string]Command
	stale   bool
}

// NewCommands are those of a directory in which nothing was built.
func NewCommands() *Commands { return &Commands{entries: map[string]Command{}} }

// ReadCommands reads a .ninja_log. One of a version that is too old or too new
// counts as empty, which has everything built again.
func ReadCommands(data []byte) (*Commands, Loaded) {
	c := NewCommands()
	if len(data) == 0 {
		return c, Loaded{}
	}
	version := commandsVersion(data)
	switch {
	case version < oldestCommands:
		return c, Loaded{Warning: "build log version invalid, perhaps due to being too old; starting over"}
	case version > currentCommands:
		return c, Loaded{Warning: "build log version is too new; starting over"}
	}
	keep, lines := 0, 0
	for {
		line, _, whole := bytes.Cut(data[keep:], []byte{'\n'})
		if !whole {
			break
		}
		keep += len(line) + 1
		if output, entry, ok := parseCommand(line, version); ok {
			c.entries[output] = entry
			lines++
		}
	}
	c.stale = version < currentCommands || lines > minCompactCommands && lines > compactCommandsRatio*len(c.entries)
	return c, Loaded{Keep: keep}
}

// commandsVersion is 0 if data does not begin as a log does.
func commandsVersion(data []byte) int {
	line, _, _ := bytes.Cut(data[:min(len(data), len(CommandsHeader)+8)], []byte{'\n'})
	digits, ok := strings.CutPrefix(string(line), "# ninja log v")
	if !ok {
		return 0
	}
	version, err := strconv.Atoi(digits)
	if err != nil {
		return 0
	}
	return version
}

func parseCommand(line []byte, version int) (output string, c Command, ok bool) {
	if len(line) > maxLine {
		return "", Command{}, false
	}
	fields := strings.SplitN(string(line), "\t", 5)
	if len(fields) < 5 {
		return "", Command{}, false
	}
	// ninja reads the first two with atoi, which keeps 32 bits.
	c = Command{Start: int(int32(number(fields[0]))), End: int(int32(number(fields[1]))), Mtime: number(fields[2])}
	if version < currentCommands {
		c.Hash = Hash([]byte(fields[4]))
	} else {
		// A hash that cannot be read is no command's: the output is built again.
		c.Hash = hexadecimal(fields[4])
	}
	return fields[3], c, true
}

// number reads as C's strtoll does: the number that the text begins with, 0 if
// there is none, and the nearest there is to one that is too large.
func number(s string) int64 {
	s = strings.TrimLeft(s, spaces)
	n, _ := strconv.ParseInt(signOf(s)+leading(s[len(signOf(s)):], "0123456789"), 10, 64)
	return n
}

// hexadecimal reads as C's strtoull does: a minus has the number wrap around.
func hexadecimal(s string) uint64 {
	s = strings.TrimLeft(s, spaces)
	sign := signOf(s)
	s = s[len(sign):]
	const digits = "0123456789abcdefABCDEF"
	if rest, ok := strings.CutPrefix(strings.ToLower(s[:min(2, len(s))])+s[min(2, len(s)):], "0x"); ok && leading(rest, digits) != "" {
		s = rest
	}
	n, err := strconv.ParseUint(leading(s, digits), 16, 64)
	if sign == "-" && err == nil {
		n = -n
	}
	return n
}

// spaces are what C skips before a number.
const spaces = " \t\n\v\f\r"

func signOf(s string) string {
	if s != "" && (s[0] == '-' || s[0] == '+') {
		return s[:1]
	}
	return ""
}

// leading are the digits that a text begins with.
func leading(s, digits string) string {
	return s[:len(s)-len(strings.TrimLeft(s, digits))]
}

// Lookup returns the command that made an output.
func (c *Commands) Lookup(output string) (Command, bool) {
	e, ok := c.entries[output]
	return e, ok
}

// Outputs are all that were made, sorted.
func (c *Commands) Outputs() []string { return slices.Sorted(maps.Keys(c.entries)) }

// Record remembers that a command made the outputs, and returns what to append
// to the file.
func (c *Commands) Record(outputs []string, command Command) []byte {
	var b []byte
	for _, output := range outputs {
		c.entries[output] = command
		b = appendCommand(b, output, command)
	}
	return b
}

// Stale reports whether the file is better written anew: it is of an older
// version, or most of its lines are superseded.
func (c *Commands) Stale() bool { return c.stale }

// Compact forgets dead outputs and returns the file anew.
func (c *Commands) Compact(dead func(output string) bool) []byte {
	maps.DeleteFunc(c.entries, func(output string, _ Command) bool { return dead(output) })
	c.stale = false
	return c.bytes()
}

// Restat replaces mtimes by what mtime says, and returns the file anew.
func (c *Commands) Restat(mtime func(output string, old int64) (int64, error)) ([]byte, error) {
	for _, output := range c.Outputs() {
		e := c.entries[output]
		m, err := mtime(output, e.Mtime)
		if err != nil {
			return nil, err
		}
		e.Mtime = m
		c.entries[output] = e
	}
	return c.bytes(), nil
}

func (c *Commands) bytes() []byte {
	b := []byte(CommandsHeader)
	for _, output := range c.Outputs() {
		b = appendCommand(b, output, c.entries[output])
	}
	return b
}

func appendCommand(b []byte, output string, c Command) []byte {
	return fmt.Appendf(b, "%d\t%d\t%d\t%s\t%x\n", c.Start, c.End, c.Mtime, output, c.Hash)
}
