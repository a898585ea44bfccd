package disk

import (
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/compile"
)

// source reads some three hundred headers.
const source = "#include <iostream>\n#include <map>\n#include <regex>\n#include <thread>\n#include \"own.h\"\n"

// BenchmarkUnit is what it takes to say what one C++ source reads: at first, in
// a build that has begun, after a command that may have written anything, again,
// and by asking the compiler. cpu-ms is CPU time, with that of children.
func BenchmarkUnit(b *testing.B) {
	if _, err := exec.LookPath("g++"); err != nil {
		b.Skip(err)
	}
	dir := written(b, map[string]string{"a.cc": source, "i/own.h": "#include <vector>\n", "i/k": "", "j/k": ""})
	c := command(b, "g++", "-Ij", "-Ii", "-c", "a.cc")
	_, own, err := inputs().own(b.Context(), c, dir)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("cold", func(b *testing.B) {
		timed(b, func() {
			in := inputs()
			in.scan.Bind(own.Dirs...)
			answered(b, in, c, dir)
		})
	})
	in := inputs()
	answered(b, in, c, dir)
	b.Run("begun", func(b *testing.B) { timed(b, func() { in.scan.Begin(); answered(b, in, c, dir) }) })
	b.Run("stirred", func(b *testing.B) { timed(b, func() { in.scan.Stir(); answered(b, in, c, dir) }) })
	b.Run("again", func(b *testing.B) { timed(b, func() { answered(b, in, c, dir) }) })
	b.Run("gcc -M", func(b *testing.B) {
		timed(b, func() {
			if _, err := in.depends(b.Context(), c, dir); err != nil {
				b.Fatal(err)
			}
		})
	})
}

func answered(b *testing.B, in *Inputs, c *compile.Command, dir string) {
	a, err := in.Of(b.Context(), c, dir)
	if err != nil {
		b.Fatal(err)
	}
	if a.Rung != Scanned || len(a.System) < 250 {
		b.Fatalf("rung %d (%s), %d headers", a.Rung, a.Why, len(a.System))
	}
}

// timed reports the CPU time of each run, which other programs on the machine
// change little.
func timed(b *testing.B, do func()) {
	before := spent()
	for b.Loop() {
		do()
	}
	b.ReportMetric(float64((spent()-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
}

func spent() time.Duration {
	var sum int64
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var r syscall.Rusage
		if syscall.Getrusage(who, &r) == nil {
			sum += r.Utime.Nano() + r.Stime.Nano()
		}
	}
	return time.Duration(sum)
}
