// Package showincludes reads what Microsoft's compiler says with /showIncludes.
//
// The package is pure. The compiler mixes the names of the included files with
// its messages; Filter takes them apart again, as ninja 1.11 does.
package showincludes

import (
	"slices"
	"strings"

	"github.com/buildnet/buildnet/node/project/ninja"
)

// DefaultPrefix is what an English compiler writes before a file's name.
const DefaultPrefix = "Note: including file: "

// Output is a compiler's output, taken apart.
type Output struct {
	// Text is what is left to show. Its lines end with \n.
	Text string
	// Includes are the included files, sorted, each once and canonical, without
	// those of the system.
	Includes []string
}

// Filter takes a compiler's output apart. A prefix of "" means DefaultPrefix.
func Filter(output, prefix string) Output {
	var text strings.Builder
	var includes []string
	seen := false
	for output != "" {
		var line string
		line, output = cutLine(output)
		if name := include(line, prefix); name != "" {
			seen = true
			if name = ninja.Canonical(name); !system(name) {
				includes = append(includes, name)
			}
			continue
		}
		// Before anything else the compiler names the file that it compiles.
		if seen || !source(line) {
			text.WriteString(line)
			text.WriteByte('\n')
		}
	}
	slices.Sort(includes)
	return Output{text.String(), slices.Compact(includes)}
}

// cutLine splits s behind its first line, which \r, \n or both end.
func cutLine(s string) (line, rest string) {
	end := strings.IndexAny(s, "\r\n")
	if end < 0 {
		return s, ""
	}
	rest = strings.TrimPrefix(s[end:], "\r")
	return s[:end], strings.TrimPrefix(rest, "\n")
}

// include returns the name in a line that names an included file, else "".
func include(line, prefix string) string {
	if prefix == "" {
		prefix = DefaultPrefix
	}
	name, ok := strings.CutPrefix(line, prefix)
	if !ok {
		return ""
	}
	return strings.TrimLeft(name, " ")
}

// system guesses whether a path is of the compiler's own headers.
func system(path string) bool {
	path = lower(path)
	return strings.Contains(path, "program files") || strings.Contains(path, "microsoft visual studio")
}

// source reports whether a line looks like the name of a source file.
func source(line string) bool {
	line = lower(line)
	return slices.ContainsFunc([]string{".c", ".cc", ".cxx", ".cpp", ".c++"}, func(suffix string) bool {
		return strings.HasSuffix(line, suffix)
	})
}

// lower changes ASCII only: names are bytes, not text.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c - 'A' + 'a'
		}
	}
	return string(b)
}
