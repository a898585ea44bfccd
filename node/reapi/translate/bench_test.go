package translate_test

import (
	"fmt"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"

	"github.com/buildnet/buildnet/node/reapi/translate"
	"github.com/buildnet/buildnet/store/alias"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/disk"
)

// BenchmarkRoot translates a tree of 1000 files in 20 directories of which all but
// the root is known, which is what one action of a build has after another.
func BenchmarkRoot(b *testing.B) {
	under, err := disk.Open(b.TempDir(), disk.Options{MaxBytes: 1 << 30})
	check(b, err)
	defer func() { check(b, under.Close()) }()
	w := &world{Blobs: alias.New(under, under.CacheKV("alias")), fn: digest.SHA256, opens: map[digest.Digest]int{}}
	top := &repb.Directory{}
	for i := range 20 {
		m := &repb.Directory{}
		for j := range 50 {
			m.Files = append(m.Files, fileNode(fmt.Sprintf("%02d", j), w.put(b, fmt.Appendf(nil, "%d-%d", i, j))))
		}
		top.Directories = append(top.Directories, dirNode(fmt.Sprintf("%02d", i), w.dir(b, m)))
	}
	tr := translate.New(w, translate.Options{})
	for i := 0; b.Loop(); i++ {
		top.Symlinks = []*repb.SymlinkNode{{Name: "l", Target: fmt.Sprint(i)}}
		root(b, tr, w.dir(b, top))
	}
}
