package compile

import (
	"slices"
	"strings"
)

// listing is why a command that lists is for this machine: what it prints goes to
// stdout, which few can give back.
const listing = "it lists what it would read"

// lists reports whether all that the command makes is a list on stdout of what its
// sources, of one language, would read.
func (r *reader) lists() bool {
	c := r.c
	return r.only && c.Mode == ToText && len(c.Sources) > 0 && c.Language().Preprocessed() && !c.Assembles() &&
		c.Output == "" && !r.depfile && !r.depended && len(c.Fragments) == 0 && len(r.wants) == 0 &&
		!slices.ContainsFunc(c.Sources, func(s Source) bool { return s.Language != c.Language() })
}

// Listing has the command be one that other machines may run, for who gives back on
// stdout what it prints, if it lists and nothing else speaks against that.
func (c *Command) Listing() {
	if c.Lists {
		c.Local = slices.DeleteFunc(c.Local, func(reason string) bool { return reason == listing })
	}
}

// Parts returns commands which together print what one that lists prints, one after
// the other: each is of so many of its sources.
func (c *Command) Parts(sources int) (parts [][]string) {
	for first := range len(c.Sources) {
		if first%sources != 0 {
			continue
		}
		argv := []string{c.Compiler}
		for i, arg := range c.Args {
			if n := slices.Index(c.at, i); n < 0 || n >= first && n < first+sources {
				argv = append(argv, arg)
			}
		}
		parts = append(parts, argv)
	}
	return parts
}

// Listed reports whether text is what a command that lists prints when it succeeds:
// one rule of make for each of its sources, in their order, whose first file is that
// source. Anything else was printed on stderr, between.
func (c *Command) Listed(text string) bool {
	if !strings.HasSuffix(text, "\n") {
		return false
	}
	rules := strings.Split(strings.ReplaceAll(text[:len(text)-1], "\\\n", " "), "\n")
	if len(rules) != len(c.Sources) {
		return false
	}
	for i, rule := range rules {
		_, files, ok := strings.Cut(rule, ": ")
		first := strings.Fields(files)
		if !ok || len(first) == 0 || first[0] != strings.TrimPrefix(c.Sources[i].Path, "./") {
			return false
		}
	}
	return true
}
