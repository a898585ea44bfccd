package compile

import (
	"slices"
	"strings"
)

// Names in -std, without "gnu" or "c" at their front, by what they have not
// or not any more. Every other is taken to be new.
var (
	c90   = []string{"89", "90", "iso9899:1990", "iso9899:199409"}
	c23   = []string{"23", "2x", "2y", "iso9899:2024"}
	cxx98 = []string{"++98", "++03"}
	cxx11 = []string{"++11", "++0x"}
	cxx14 = []string{"++14", "++1y"}
)

// dialectOf returns how a dialect reads; "" is the compiler's own choice, which
// is not an old one. The source is lang_flags of gcc's libcpp/init.cc. Where a
// clang has less, it is taken not to have it.
func (c *Command) dialectOf(std string) Dialect {
	l := c.Language()
	plus := l == CXX || l == CXXText
	switch {
	case std == "ansi" && plus:
		std = "c++98"
	case std == "ansi":
		std = "c90"
	case strings.Contains(std, "++") != plus:
		std = "" // it is of the other language, and ignored
	}
	year, gnu := strings.CutPrefix(std, "gnu")
	strict := std != "" && !gnu
	year = strings.TrimPrefix(year, "c")
	is := func(years []string) bool { return slices.Contains(years, year) }
	switch {
	case l == AssemblerCPP:
		return Dialect{LineComments: true}
	case plus:
		return Dialect{
			Trigraphs:    strict && (is(cxx98) || is(cxx11) || is(cxx14)),
			LineComments: true,
			RawStrings:   !is(cxx98),
			Separators:   !is(cxx98) && !is(cxx11),
		}
	default:
		return Dialect{
			Trigraphs:    strict && !is(c23),
			LineComments: !strict || !is(c90),
			RawStrings:   !strict && !is(c90) && c.Family == GCC,
			Separators:   is(c23),
		}
	}
}
