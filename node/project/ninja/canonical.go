package ninja

import "strings"

// Canonical returns the one way to write a path: without empty and "."
// components, and without a ".." behind a component that it undoes. As in
// ninja, the root and what goes back to it become the empty string.
func Canonical(path string) string {
	if path == "" || isCanonical(path) {
		return path
	}
	return cleaned(path)
}

// isCanonical reports whether path is surely canonical. Nearly every path of
// a manifest is, and none of those is copied.
func isCanonical(path string) bool {
	i := 0
	for len(path)-i > 3 && path[i:i+3] == "../" {
		i += 3 // nothing precedes it that it could undo
	}
	previous := byte('/')
	for ; i < len(path); i++ {
		c := path[i]
		if previous == '/' && (c == '/' && i > 0 || c == '.' && dots(path[i:])) {
			return false
		}
		previous = c
	}
	return previous != '/'
}

// dots reports whether s begins with a component "." or "..".
func dots(s string) bool {
	first, _ := cut(s)
	return first == "." || first == ".."
}

func cleaned(path string) string {
	out := make([]byte, 0, len(path)+1)
	starts := make([]int, 0, 32) // of the components in out that ".." may take back
	rest := path
	if rest[0] == '/' {
		out, rest = append(out, '/'), rest[1:]
	}
	for rest != "" {
		var component string
		component, rest = cut(rest)
		switch {
		case component == "" || component == ".":
		case component == ".." && len(starts) > 0:
			out = out[:starts[len(starts)-1]]
			starts = starts[:len(starts)-1]
		default:
			if component != ".." {
				starts = append(starts, len(out))
			}
			out = append(append(out, component...), '/')
		}
	}
	if len(out) == 0 {
		return "."
	}
	return string(out[:len(out)-1])
}

// cut splits path at its first slash.
func cut(path string) (component, rest string) {
	for i := range len(path) {
		if path[i] == '/' {
			return path[:i], path[i+1:]
		}
	}
	return path, ""
}

// CanonicalAll returns paths in the one way to write them. It lets go of the text
// that they are part of.
func CanonicalAll(paths []string) []string {
	out := make([]string, len(paths))
	for i, path := range paths {
		out[i] = strings.Clone(Canonical(path))
	}
	return out
}
