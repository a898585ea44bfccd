package project

import (
	"path"
	"strings"
)

// maxLinks is how many symbolic links one name may lead through; Linux's own.
const maxLinks = 40

// links knows where the symbolic links of a tree lead, by name alone.
type links struct {
	files   *index
	targets map[string]string
	brings  map[int][]int // what a link leads to, by its number
	outside map[int]bool  // links that leave the tree
}

// follow returns the files that link number i leads to, other links on the
// way included, and whether it leaves the tree.
func (l *links) follow(i int) (brings []int, leaves bool) {
	brings, known := l.brings[i]
	if known {
		return brings, l.outside[i]
	}
	name := l.files.paths[i]
	end, through, ok := l.walk(join(parent(name), l.targets[name]))
	for _, link := range through {
		brings = append(brings, l.files.number[link])
	}
	if n, isFile := l.files.number[end]; ok && isFile {
		brings = append(brings, n)
	} else if ok && end != "" {
		for from, to := l.files.below(end); from < to; from++ {
			brings = append(brings, from)
		}
	}
	l.brings[i], l.outside[i] = brings, !ok
	return brings, !ok
}

// walk resolves a name of which any part may be a link. It is not ok if the
// name leaves the tree. A circle of links ends where it began.
func (l *links) walk(name string) (end string, through []string, ok bool) {
	for range maxLinks {
		if leavesTree(name) {
			return "", through, false
		}
		link, rest := l.firstLink(name)
		if link == "" {
			return clean(path.Clean(name)), through, true
		}
		through = append(through, link)
		name = join(parent(link), l.targets[link])
		if rest != "" {
			name += "/" + rest
		}
	}
	return "", through, true
}

// leavesTree reports whether a name that is not clean leads out, at whatever
// point on its way.
func leavesTree(name string) bool {
	if path.IsAbs(name) {
		return true
	}
	depth := 0
	for part := range strings.SplitSeq(name, "/") {
		switch part {
		case "", ".":
		case "..":
			if depth--; depth < 0 {
				return true
			}
		default:
			depth++
		}
	}
	return false
}

// firstLink returns the first part of name that is a link, and what follows.
func (l *links) firstLink(name string) (link, rest string) {
	at := ""
	parts := strings.Split(name, "/")
	for i, part := range parts {
		switch part {
		case "", ".":
			continue
		case "..":
			at = parent(at)
			continue
		}
		at = under(at, part)
		if _, isLink := l.targets[at]; isLink {
			return at, strings.Join(parts[i+1:], "/")
		}
	}
	return "", ""
}

// join appends a link's target to its directory, without cleaning: ".." after
// a link is not what it looks like.
func join(dir, target string) string {
	if dir == "" || path.IsAbs(target) {
		return target
	}
	return dir + "/" + target
}
