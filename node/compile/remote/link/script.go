package link

import (
	"path"
	"regexp"
	"strings"
)

// maxWords bounds the words of a script: those of the largest known are some
// thousands.
const maxWords = 100_000

// writes matches what has a script write files of its own.
var writes = regexp.MustCompile(`\b(OUTPUT|MAP)\s*\(`)

// directories matches where a script has libraries looked for.
var directories = regexp.MustCompile(`\bSEARCH_DIR\s*\(\s*"?([^")\s]*)`)

// comment matches what scripts say to people.
var comment = regexp.MustCompile(`(?s)/\*.*?\*/`)

// script looks for what a linker script names. Every word counts that might name
// a file and does: INPUT, GROUP, AS_NEEDED, INCLUDE and STARTUP do so, and a
// section's file without a wildcard.
func (k *look) script(text, beside string) {
	text = comment.ReplaceAllString(text, " ")
	if m := writes.FindString(text); m != "" {
		k.local("a linker script has %s): it says what is made", m)
	}
	for _, m := range directories.FindAllStringSubmatch(text, -1) {
		k.search(&k.dirs, rootless(m[1]))
	}
	words := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \t\r\n\v\f,(){};\"'", r) })
	if len(words) > maxWords {
		k.local("a linker script has more than %d words", maxWords)
		return
	}
	for _, w := range words {
		k.scripted(w, beside)
		if file, _, is := strings.Cut(w, ":"); is {
			k.scripted(file, beside)
		}
	}
}

// rootless is a path that may be from the linker's own root, which is that of
// the file system.
func rootless(w string) string { return strings.TrimPrefix(strings.TrimPrefix(w, "="), "$SYSROOT") }

func (k *look) scripted(w, beside string) {
	if name, is := strings.CutPrefix(w, "-l"); is && name != "" {
		k.library(name)
		return
	}
	w = rootless(w)
	if w == "" || strings.ContainsAny(w, "*?[\x00") || len(path.Base(w)) > maxName {
		return
	}
	k.named(w, beside, false)
}

// maxName is how long a file's name can be, in bytes.
const maxName = 255
