package compile

import (
	"fmt"
	"strings"
)

// Limits of response files: gcc's own, and what a linker's list may take.
const (
	maxResponses     = 2000
	maxResponseBytes = 16 << 20
)

// respond puts the arguments in place, those of response files as well. gcc
// takes an @ of a file that it cannot read for a name.
func (r *reader) respond(args []string) {
	defer func() { r.c.Args = r.args }()
	left, total := maxResponses, 0
	for i := 0; i < len(args); i++ {
		file, is := strings.CutPrefix(args[i], "@")
		if !is || r.in.Response == nil {
			if is {
				r.c.local(fmt.Sprintf("the arguments of %s are not known", args[i]))
			}
			r.args = append(r.args, args[i])
			continue
		}
		content, err := r.in.Response(file)
		if err != nil {
			r.c.local(fmt.Sprintf("the arguments of %s are not known: %v", args[i], err))
			continue
		}
		left--
		total += len(content)
		if left < 0 || total > maxResponseBytes {
			r.c.local("its response files have no end")
			return
		}
		rest := args[i+1:]
		args = append(Unquote(string(content)), rest...)
		i = -1
	}
}

// Unquote splits the content of a response file, as libiberty's buildargv and
// LLVM do: a backslash keeps any character, inside quotes of either kind too.
func Unquote(content string) []string {
	var words []string
	var word strings.Builder
	inside, quote := false, byte(0)
	for i := 0; i < len(content); i++ {
		switch c := content[i]; {
		case c == '\\' && i+1 < len(content):
			i++
			word.WriteByte(content[i])
			inside = true
		case c == quote && quote != 0:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			quote, inside = c, true
		case quote == 0 && strings.IndexByte(" \t\n\r\v\f", c) >= 0:
			if inside {
				words = append(words, word.String())
			}
			word.Reset()
			inside = false
		default:
			word.WriteByte(c)
			inside = true
		}
	}
	if inside {
		words = append(words, word.String())
	}
	return words
}
