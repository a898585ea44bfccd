package invocation_test

import (
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/nodetest"
)

// units of a C++ project with a hundred headers of its own.
const units = 45

func manyUnits() map[string]string {
	files := map[string]string{"o/keep": ""}
	var all strings.Builder
	for i := range 100 {
		files[fmt.Sprintf("i/h%d.h", i)] = fmt.Sprintf("#pragma once\n#include <string>\ninline int h%d() { return %d; }\n", i, i)
		fmt.Fprintf(&all, "#include \"h%d.h\"\n", i)
	}
	for i := range units {
		files[fmt.Sprintf("s/u%d.cc", i)] = all.String() + fmt.Sprintf("#include <vector>\n#include <map>\nint u%d() { return h%d(); }\n", i, i)
	}
	return files
}

// BenchmarkKnown builds what is all known, of 45 C++ sources with 100 headers each
// besides those of the standard library: the CPU time of node and client together.
func BenchmarkKnown(b *testing.B) {
	for _, whole := range []bool{true, false} {
		b.Run(fmt.Sprintf("whole=%v", whole), func(b *testing.B) { benchmarkKnown(b, whole) })
	}
}

func benchmarkKnown(b *testing.B, whole bool) {
	p := newBench(b, nodetest.Start(b, 2, ""), manyUnits())
	build := func() {
		p.begin(api.InvocationRequest{Whole: whole})
		var wg sync.WaitGroup
		turns := make(chan struct{}, 4)
		for i := range units {
			turns <- struct{}{}
			wg.Go(func() {
				defer func() { <-turns }()
				r, err := p.node.Client.RunCommand(b.Context(), p.id, api.Command{
					Dir: p.dir, Argv: strings.Fields(fmt.Sprintf("g++ -g -Ii -c s/u%d.cc -o o/u%d.o -MD", i, i)),
				})
				if err != nil || len(r.Local) > 0 || r.ExitCode != 0 {
					b.Errorf("%d: %+v, %v", i, r, err)
				}
			})
		}
		wg.Wait()
		p.end()
	}
	build()
	before := cpu()
	for b.Loop() {
		build()
	}
	b.ReportMetric(float64(cpu()-before)/float64(b.N)/1e6, "cpu-ms/build")
}

// cpu is the time that this process has had.
func cpu() int64 {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return r.Utime.Nano() + r.Stime.Nano()
}
