package disk

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/buildnet/buildnet/node/compile"
)

// A root of the system that is given by a relative path is another one in each
// directory, and one that appears is seen.
func TestARelativeRootIsThatOfItsDirectory(t *testing.T) {
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip(err)
	}
	const source = "#if __has_include(<only.h>)\n#include <only.h>\n#endif\nint x;\n"
	without := written(t, map[string]string{"x.c": source})
	with := written(t, map[string]string{"x.c": source, "root/usr/include/only.h": "int only;\n"})
	in := inputs()
	for _, flags := range [][]string{{"--sysroot=root"}, {"--sysroot", "root"}} {
		c := command(t, append([]string{"gcc", "-c", "x.c"}, flags...)...)
		for _, dir := range []string{without, with, without} {
			a := of(t, in, c, dir)
			own := filepath.Join(dir, "root/usr/include")
			if has := slices.Contains(a.Own, own); has != (dir == with) || slices.Contains(a.Missing, own) == has {
				t.Errorf("%v in %s: looks in %q, and in vain in %q", flags, dir, a.Own, a.Missing)
			}
			fresh := of(t, inputs(), c, dir)
			if !slices.Equal(a.Own, fresh.Own) || !slices.Equal(a.Missing, fresh.Missing) || !slices.Equal(a.System, fresh.System) || a.Rung != fresh.Rung {
				t.Errorf("%v in %s: %+v, asked anew %+v", flags, dir, a, fresh)
			}
		}
	}
	c := command(t, "gcc", "--sysroot=root", "-c", "x.c")
	before := of(t, in, c, without)
	if err := os.Rename(filepath.Join(with, "root"), filepath.Join(without, "root")); err != nil {
		t.Fatal(err)
	}
	if after := of(t, in, c, without); after.Rung == before.Rung && slices.Equal(after.Own, before.Own) {
		t.Errorf("a root has appeared, and all is as before: %+v", after)
	}
}

func TestWhatDependsOnTheDirectory(t *testing.T) {
	for _, tc := range []struct {
		placed bool
		words  []string
	}{
		{false, []string{"gcc", "-m32", "--sysroot=/r", "-isysroot", "/r", "-stdlib=libc++", "-target", "arm"}},
		{false, []string{"clang", "-resource-dir=/r", "-resource-dir", "/r", "--gcc-toolchain=/r", "-isysroot/r"}},
		{true, []string{"gcc", "--sysroot=r"}}, {true, []string{"gcc", "--sysroot="}}, {true, []string{"gcc", "-isysroot", "r"}}, {true, []string{"gcc", "-isysrootr"}},
		{true, []string{"clang", "--gcc-toolchain=../r"}}, {true, []string{"clang", "-resource-dir", "r"}}, {true, []string{"clang", "-resource-dir=r"}}, {true, []string{"clang", "-cxx-isystem", "r"}},
	} {
		if got := compile.Placed(tc.words); got != tc.placed {
			t.Errorf("%q: %v", tc.words, got)
		}
	}
}
