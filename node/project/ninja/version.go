package ninja

import "strings"

// parseVersion reads major and minor as ninja does: what is no number is 0.
func parseVersion(s string) (major, minor int) {
	first, rest, _ := strings.Cut(s, ".")
	return leadingInt(first), leadingInt(rest)
}

// leadingInt reads the number that s begins with, as C's atoi does.
func leadingInt(s string) int {
	s = strings.TrimLeft(s, " \t\n\v\f\r")
	negative := strings.HasPrefix(s, "-")
	if negative || strings.HasPrefix(s, "+") {
		s = s[1:]
	}
	n := 0
	for i := 0; i < len(s) && '0' <= s[i] && s[i] <= '9' && n < 1<<30; i++ {
		n = 10*n + int(s[i]-'0')
	}
	if negative {
		return -n
	}
	return n
}
