package project_test

import (
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/buildnet/buildnet/node/project"
	"github.com/buildnet/buildnet/sched/action"
)

func TestTheExampleProjectIsPlanned(t *testing.T) {
	src, err := os.ReadFile("../../docs/examples/zstd/project/.buildnet/config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c, err := project.Parse("config.yaml", src)
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.Plan(filesOf("lib/zstd_common.c", "lib/huf_decompress_amd64.S", "lib/zstd.h", "lib/zstd_errors.h", "roundtrip/roundtrip.c"))
	if err != nil {
		t.Fatal(err)
	}
	library := stepOf(t, p, "zstd:libzstd.a")
	if diff := cmp.Diff([]string{"ar", "rcsD", "libzstd.a", "obj/huf_decompress_amd64.o", "obj/zstd_common.o"}, library.Argv); diff != "" {
		t.Error(diff)
	}
	want := []action.Dep{
		{Step: "zstd:obj/huf_decompress_amd64.o", Paths: []string{"lib/obj/huf_decompress_amd64.o"}},
		{Step: "zstd:obj/zstd_common.o", Paths: []string{"lib/obj/zstd_common.o"}},
	}
	if diff := cmp.Diff(want, library.Deps); diff != "" {
		t.Error(diff)
	}
	object := stepOf(t, p, "zstd:obj/zstd_common.o")
	if diff := cmp.Diff([]string{"lib/zstd.h", "lib/zstd_common.c", "lib/zstd_errors.h"}, object.Sources); diff != "" {
		t.Error(diff)
	}
	program := stepOf(t, p, "roundtrip:bin/roundtrip")
	if !slices.ContainsFunc(program.Deps, func(d action.Dep) bool { return d.Step == "zstd:libzstd.a" && d.Paths == nil }) {
		t.Errorf("the program does not see the library: %v", program.Deps)
	}
	if diff := cmp.Diff([]string{"lib/zstd.h", "lib/zstd_errors.h", "roundtrip/roundtrip.c"}, program.Sources); diff != "" {
		t.Error(diff)
	}
}
