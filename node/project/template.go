package project

import (
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/buildnet/buildnet/node/config/near"
)

// Placeholders, by where they mean something.
var (
	matchPlaceholders = []string{"in", "dir", "stem", "ext"}
	allPlaceholders   = []string{"in", "dir", "stem", "ext", "outputs"}
)

// template is a string with placeholders, taken apart.
type template []part

// part is literal text, or a placeholder if it has a name.
type part struct {
	literal string
	name    string
	glob    string // of {outputs:GLOB}
}

// templateError is what is wrong with a template and what to do about it.
type templateError struct {
	what, do string
}

// parseTemplate takes s apart. A word of lower-case letters in braces is a
// placeholder, unless a $ (a shell's variable) or a \ (which is dropped)
// precedes it; all other braces are literal, and so is what stands in {{ }}.
func parseTemplate(s string, allowed []string) (template, *templateError) {
	var t template
	var literal strings.Builder
	flush := func() {
		if literal.Len() > 0 {
			t = append(t, part{literal: literal.String()})
			literal.Reset()
		}
	}
	for i := 0; i < len(s); {
		p, n, err := placeholderAt(s[i:], allowed)
		switch {
		case s[i] == '\\' && escapes(s[i+1:]):
			n = strings.IndexByte(s[i:], '}') + 1
			literal.WriteString(s[i+1 : i+n])
		case s[i] == '$' && strings.HasPrefix(s[i+1:], "{"):
			n = 2
			literal.WriteString("${")
		case strings.HasPrefix(s[i:], "{{"):
			n = doubled(s[i:])
			literal.WriteString(s[i : i+n])
		case err != nil:
			return nil, err
		case n > 0:
			flush()
			t = append(t, p)
		default:
			n = 1
			literal.WriteByte(s[i])
		}
		i += n
	}
	flush()
	return t, nil
}

var (
	wordInBraces    = regexp.MustCompile(`^\{([a-z]+)\}`)
	anyCaseInBraces = regexp.MustCompile(`^\{([A-Za-z]+)\}`)
	argumentFormat  = regexp.MustCompile(`^\{([a-z]+):`)
)

func escapes(s string) bool { return wordInBraces.MatchString(s) }

// doubled returns the length of {{...}} at the beginning of s.
func doubled(s string) int {
	if end := strings.Index(s, "}}"); end >= 0 {
		return end + 2
	}
	return 2
}

// placeholderAt reads the placeholder that s begins with; n is its length, 0
// if there is none.
func placeholderAt(s string, allowed []string) (p part, n int, err *templateError) {
	if s[0] != '{' {
		return part{}, 0, nil
	}
	if m := anyCaseInBraces.FindStringSubmatch(s); m != nil {
		name := m[1]
		switch {
		case slices.Contains(allowed, name):
			return part{name: name}, len(m[0]), nil
		case slices.Contains(allPlaceholders, name):
			return part{}, 0, &templateError{fmt.Sprintf("{%s} means nothing here", name), "remove it, or name the files"}
		case slices.Contains(allPlaceholders, strings.ToLower(name)) || wordInBraces.MatchString(s):
			return part{}, 0, &templateError{fmt.Sprintf("unknown placeholder {%s}", name),
				near.DidYouMean(name, allowed, fmt.Sprintf("write \\{%s} if the braces are meant", name))}
		}
		return part{}, 0, nil
	}
	if m := argumentFormat.FindStringSubmatch(s); m != nil && slices.Contains(allPlaceholders, m[1]) {
		return placeholderWithArgument(s, m[1], allowed)
	}
	return part{}, 0, nil
}

func placeholderWithArgument(s, name string, allowed []string) (part, int, *templateError) {
	if name != "outputs" {
		return part{}, 0, &templateError{fmt.Sprintf("{%s} takes no argument", name), fmt.Sprintf("write {%s}", name)}
	}
	if !slices.Contains(allowed, name) {
		return part{}, 0, &templateError{"{outputs:...} means nothing here", "remove it, or name the files"}
	}
	end := closing(s)
	if end < 0 {
		return part{}, 0, &templateError{"{outputs: is not closed", "add the }"}
	}
	glob := s[len("{outputs:"):end]
	if fault := checkGlob(glob); fault != nil {
		return part{}, 0, fault
	}
	if strings.HasPrefix(glob, "!") {
		return part{}, 0, &templateError{"{outputs:!...} excludes everything", "name what to take"}
	}
	return part{name: name, glob: glob}, end + 1, nil
}

// closing returns where the brace that s begins with is closed, or -1.
func closing(s string) int {
	depth := 0
	for i := range len(s) {
		switch s[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// fixed reports whether t has no placeholders.
func (t template) fixed() bool {
	return !slices.ContainsFunc(t, func(p part) bool { return p.name != "" })
}

// ofMatch returns the first placeholder that stands for a matched file.
func (t template) ofMatch() string {
	for _, p := range t {
		if slices.Contains(matchPlaceholders, p.name) {
			return p.name
		}
	}
	return ""
}

// match is a file that foreach matched, as its step's placeholders show it.
type match struct {
	in, dir, stem, ext string
}

// matchOf returns what stands for file in a package at dir.
func matchOf(dir, file string) match {
	in := relative(dir, file)
	base := path.Base(in)
	ext := path.Ext(base)
	if ext == base { // .profile has no extension
		ext = ""
	}
	return match{in: in, dir: path.Dir(in), stem: strings.TrimSuffix(base, ext), ext: ext}
}

func (m match) value(name string) string {
	switch name {
	case "in":
		return m.in
	case "dir":
		return m.dir
	case "stem":
		return m.stem
	default:
		return m.ext
	}
}

// fill replaces the placeholders of a matched file, each after transform.
func (t template) fill(m match, transform func(string) string) string {
	if len(t) == 1 && t[0].name == "" {
		return t[0].literal
	}
	var b strings.Builder
	for _, p := range t {
		if p.name == "" {
			b.WriteString(p.literal)
			continue
		}
		b.WriteString(transform(m.value(p.name)))
	}
	return b.String()
}

// asIs is the transformation of paths.
func asIs(s string) string { return s }

// relative returns p as seen from dir; both are clean and from one root.
func relative(dir, p string) string {
	if dir == "" {
		return p
	}
	if rest, below := strings.CutPrefix(p, dir+"/"); below {
		return rest
	}
	rel, err := filepath.Rel(filepath.FromSlash(dir), filepath.FromSlash(p))
	if err != nil {
		panic("project: two clean relative paths have no relation: " + err.Error())
	}
	return filepath.ToSlash(rel)
}

// under returns p, relative to dir, from the project's root.
func under(dir, p string) string {
	if dir == "" {
		return path.Clean(p)
	}
	return path.Join(dir, p)
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// quote makes s one word of a shell's.
func quote(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// operand keeps a file's name from being taken for an option.
func operand(s string) string {
	if strings.HasPrefix(s, "-") {
		return "./" + s
	}
	return s
}
