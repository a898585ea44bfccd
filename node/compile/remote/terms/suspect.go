package terms

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/buildnet/buildnet/node/compile"
	"github.com/buildnet/buildnet/sched/action"
)

// Exists reports whether a name, as a compiler writes it, is a file here: in the
// working directory, beside the file from, which may be "", or where headers are
// looked for.
type Exists func(name, from string) bool

// Suspect returns why a result may not be what this machine would have made, or
// "". What a compiler itself found wrong is believed; what may be for want of a
// file, of memory or of patience there is not.
func Suspect(c *compile.Command, r *action.Result, said []byte, here Exists) string {
	if m, ok := Missing(said, here); ok {
		return "it did not find " + m + " there, which is here"
	}
	switch {
	case r.OK():
		return ""
	case r.Message != "":
		return "it did not end by itself there: " + r.Message
	case r.ExitCode >= 128:
		return "it was ended by a signal there"
	case broken.Match(said):
		return "it broke down there: " + string(broken.Find(said))
	case !understood(c.Env):
		return "it failed there, with messages in another language"
	}
	return ""
}

// Doubted is Suspect for what is no compile. A failure is never believed: what
// it leaves behind, and what its words mean, depends on the program.
func Doubted(r *action.Result, said []byte, here Exists) string {
	if m, ok := Missing(said, here); ok {
		return "it did not find " + m + " there, which is here"
	}
	switch {
	case r.OK():
		return ""
	case r.Message != "":
		return "it did not end by itself there: " + r.Message
	}
	return fmt.Sprintf("it failed there, with exit status %d", r.ExitCode)
}

// Removes reports whether a compile that failed with these words has removed the
// output that an earlier one made. gcc does so once its assembler has begun,
// which with -pipe is at once; clang always.
func Removes(c *compile.Command, said []byte) bool {
	return c.Family == compile.Clang || slices.Contains(c.Args, "-pipe") || bytes.Contains(said, []byte("Assembler messages:"))
}

// broken matches what a compiler says when something else than the source is
// wrong.
var broken = regexp.MustCompile(`(?i)internal compiler error|terminated program|out of memory|memory exhausted|cannot allocate|PLEASE submit a bug report|no space left|input/output error|cannot execute|permission denied|too many open files|resource temporarily unavailable|read-only file system`)

// absence matches what it says when it does not find a file.
var absence = regexp.MustCompile(`(?i)no such file|not found|(?:cannot|can't|could not|unable to) (?:find|open|read)|does not exist`)

// object matches the name in what absence does.
var object = regexp.MustCompile("(?i)(?:find|open|read) (?:file )?([^ \"'`‘]+)")

// needed matches what a linker says of a library that another needs.
var needed = regexp.MustCompile(`^([^\s,]+), needed by [^\s,]+, not found`)

// position is where in a file something is said to be.
var position = regexp.MustCompile(`^(.+?):\d+(?::\d+)?$`)

// excerpt matches a line of the source that a message shows.
var excerpt = regexp.MustCompile(`^\d* *\|`)

// quoted matches a name in quotes of one kind or another.
var quoted = regexp.MustCompile("[\"'`‘<]([^\"'`‘’<>]+)[\"'’>]")

// Missing returns a file that is said not to be found and is here. Where no name
// can be made out, it is taken to be.
func Missing(said []byte, here Exists) (string, bool) {
	for line := range bytes.Lines(said) {
		text := strings.TrimSpace(plain(string(line)))
		if !absence.MatchString(text) || excerpt.MatchString(text) {
			continue
		}
		names, from := namesIn(text)
		if len(names) == 0 {
			return "a file", true
		}
		if i := slices.IndexFunc(names, func(n string) bool { return here(n, from) }); i >= 0 {
			return names[i], true
		}
	}
	return "", false
}

// colours are the sequences that terminals take for colours and links.
var colours = regexp.MustCompile("\x1b(?:\\[[0-9;]*[A-Za-z]|\\][^\x07\x1b]*(?:\x07|\x1b\\\\))")

func plain(s string) string { return colours.ReplaceAllString(s, "") }

// namesIn returns what may be names of files in a message, and the file that the
// message is about.
func namesIn(text string) (names []string, from string) {
	for i, piece := range strings.Split(text, ": ") {
		piece = strings.TrimSpace(strings.TrimSuffix(piece, ":"))
		if m := position.FindStringSubmatch(piece); m != nil && i == 0 {
			from = m[1]
			continue
		}
		for _, m := range quoted.FindAllStringSubmatch(piece, -1) {
			names = append(names, m[1])
		}
		if m := object.FindStringSubmatch(piece); m != nil {
			names = append(names, m[1])
		}
		if m := needed.FindStringSubmatch(piece); m != nil {
			names = append(names, m[1])
		}
		if piece != "" && !absence.MatchString(piece) && !slices.Contains(words, path.Base(piece)) {
			names = append(names, piece)
		}
	}
	return names, from
}

// words stand in messages where names do.
var words = []string{"error", "fatal error", "warning", "Error", "Fatal error", "Warning", "note", "cc1", "cc1plus", "gcc", "g++", "cc", "c++", "clang", "clang++", "as", "Assembler messages", "ld", "ld.bfd", "ld.gold", "ld.lld", "ld.mold", "collect2", "ar", "ranlib"}

// understood reports whether messages are in the language that is read here.
func understood(env []action.Property) bool {
	value := map[string]string{}
	for _, p := range env {
		value[p.Name] = p.Value
	}
	locale := ""
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if locale = value[name]; locale != "" {
			break
		}
	}
	english := func(l string) bool {
		l, _, _ = strings.Cut(l, ".")
		return l == "" || l == "C" || l == "POSIX" || l == "en" || strings.HasPrefix(l, "en_")
	}
	if base, _, _ := strings.Cut(locale, "."); base == "" || base == "C" || base == "POSIX" {
		return true // LANGUAGE does not count there
	}
	first, _, _ := strings.Cut(value["LANGUAGE"], ":")
	return english(locale) && english(first)
}
