package remote

import (
	"fmt"
	"os"

	"github.com/buildnet/buildnet/node/compile"
	"github.com/buildnet/buildnet/store/digest"
)

// twins says which two files a compiler takes for one here, and elsewhere not, or
// the other way round; "" if there are none. gcc does so with what is read once,
// where the content and the second of writing are the same, and in a sandbox they
// are; clang with two names of one file, of which there each is its own.
func (p *Prepared) twins() string {
	if p.Command.Family == compile.GCC && len(p.answer.Once) < 2 {
		return ""
	}
	once := make(map[string]bool, len(p.answer.Once))
	for _, f := range p.answer.Once {
		once[f] = true
	}
	first := make(map[digest.Digest]string, len(p.files))
	for _, f := range p.files {
		if p.Command.Family == compile.GCC && !once[f.Path] {
			continue
		}
		other, is := first[f.Digest]
		if !is {
			first[f.Digest] = f.Path
			continue
		}
		one, err := os.Stat(other)
		two, err2 := os.Stat(f.Path)
		switch {
		case err != nil || err2 != nil:
			return fmt.Sprintf("%s and %s come and go", other, f.Path)
		case p.Command.Family == compile.Clang && os.SameFile(one, two):
			return fmt.Sprintf("%s and %s are one file", other, f.Path)
		case p.Command.Family == compile.GCC && one.ModTime().Unix() != two.ModTime().Unix():
			return fmt.Sprintf("%s and %s are the same but for their time, and to be read once", other, f.Path)
		}
	}
	return ""
}
