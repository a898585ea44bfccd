package ninja_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/node/project/ninja"
)

// large is a manifest as CMake writes it: per object a line of variables as
// long as a compiler's flags are, some headers, and a library for each fifty.
func large(edges int) memory {
	var b strings.Builder
	b.WriteString("rule cc\n  command = c++ $DEFINES $INCLUDES $FLAGS -MD -MF $DEP_FILE -o $out -c $in\n" +
		"  depfile = $DEP_FILE\n  deps = gcc\n  description = CXX $out\n" +
		"rule ar\n  command = rm -f $out && ar qc $out $LINK_FLAGS $in && ranlib $out\n  description = AR $out\n")
	for i := range edges {
		dir := fmt.Sprintf("src/part_%d", i/50)
		if i%50 == 49 {
			fmt.Fprintf(&b, "build lib/libpart_%d.a: ar", i/50)
			for j := i - 49; j < i; j++ {
				fmt.Fprintf(&b, " CMakeFiles/part.dir/%s/file_%d.cc.o", dir, j)
			}
			b.WriteString(" || part_deps\n  LINK_FLAGS = -O2\n  OBJECT_DIR = CMakeFiles/part.dir\n\n")
			continue
		}
		fmt.Fprintf(&b, "build CMakeFiles/part.dir/%s/file_%d.cc.o: cc ../%s/file_%d.cc || part_deps\n", dir, i, dir, i)
		b.WriteString("  DEFINES = -DNDEBUG -DPART=1\n")
		fmt.Fprintf(&b, "  DEP_FILE = CMakeFiles/part.dir/%s/file_%d.cc.o.d\n", dir, i)
		b.WriteString("  FLAGS = -O3 -std=c++17 -Wall -Wextra -Wno-unused-parameter -fPIC\n  INCLUDES = -I../include -I../third_party/include\n" +
			"  OBJECT_DIR = CMakeFiles/part.dir\n\n")
	}
	b.WriteString("build part_deps: phony\n")
	return memory{"input": b.String()}
}

func BenchmarkLoad(b *testing.B) {
	files := large(10_000)
	b.SetBytes(int64(len(files["input"])))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ninja.Load(files, "input", ninja.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCommands expands all commands of a manifest, as a build that finds
// nothing to do must.
func BenchmarkCommands(b *testing.B) {
	g := load(b, large(10_000))
	b.ReportAllocs()
	var buf []byte
	for b.Loop() {
		for _, e := range g.Edges {
			var err error
			if buf, err = e.AppendCommand(buf[:0], ninja.WithRspfile); err != nil {
				b.Fatal(err)
			}
		}
	}
}
