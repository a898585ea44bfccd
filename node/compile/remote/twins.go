package remote

import (
	"fmt"
	"os"
	"slices"

	"github.com/buildnet/buildnet/node/compile"
	"github.com/buildnet/buildnet/store/digest"
)

// keeps notes what is in a file, to know which contents several files have.
func (d *Desk) keeps(file string, content digest.Digest) {
	other, known := d.holder[content]
	switch {
	case !known:
		d.holder[content] = file
	case other != file:
		d.shared[content] = true
	}
}

// twins says which two files a compiler takes for one here, and elsewhere not, or
// the other way round; "" if there are none. gcc does so with what is read once,
// where the content and the second of writing are the same, and in a sandbox they
// are; clang with two names of one file, of which there each is its own.
func (d *Desk) twins(p *Prepared) string {
	if len(d.shared) == 0 {
		return ""
	}
	first := map[digest.Digest]string{}
	for _, f := range p.files {
		if !d.shared[f.Digest] || p.Command.Family == compile.GCC && !slices.Contains(p.answer.Once, f.Path) {
			continue
		}
		other, is := first[f.Digest]
		if !is {
			first[f.Digest] = f.Path
		} else if why := differ(p.Command.Family, other, f.Path); why != "" {
			return why
		}
	}
	return ""
}

// differ says why two files of the same content are not to a compiler here what
// they are elsewhere.
func differ(of compile.Family, one, two string) string {
	a, err := os.Stat(one)
	b, err2 := os.Stat(two)
	switch {
	case err != nil || err2 != nil:
		return fmt.Sprintf("%s and %s come and go", one, two)
	case of == compile.Clang && os.SameFile(a, b):
		return fmt.Sprintf("%s and %s are one file", one, two)
	case of == compile.GCC && a.ModTime().Unix() != b.ModTime().Unix():
		return fmt.Sprintf("%s and %s are the same but for their time, and to be read once", one, two)
	}
	return ""
}
