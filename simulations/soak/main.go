// Command soak runs drawn seeds of the simulated world for as long as it is
// told, each twice and under all rules, and prints every failure with the
// command that shows it again. It is what `make soak` runs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/buildnet/buildnet/simulations"
	"github.com/buildnet/buildnet/simulations/draw"
)

const (
	// batch is how many seeds are drawn between two looks at the time.
	batch = 1000
	// tellEvery is how often it says how far it is.
	tellEvery = time.Minute
	// maxFailures end a soak early: what breaks so often is one thing.
	maxFailures = 20
)

func main() {
	lasts := flag.Duration("for", time.Hour, "how long to run")
	first := flag.Uint64("first", uint64(time.Now().Unix())*batch, "the first seed; without it, another one each second")
	flag.Parse()
	simulations.CollectSeldom()
	if !run(*first, *lasts) {
		os.Exit(1)
	}
}

// run reports whether no seed failed.
func run(first uint64, lasts time.Duration) bool {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, lasts)
	defer cancel()
	ran, failed, events, told := 0, 0, uint64(0), time.Now()
	tell := func() { fmt.Printf("%d seeds from %d on, %d events, %d failed\n", ran, first, events, failed) }
	each := func(o *simulations.Outcome, f *simulations.Failure) {
		if f != nil {
			failed++
			fmt.Println(f)
		}
		if o != nil {
			events += o.Events
		}
		if ran++; time.Since(told) > tellEvery {
			told = time.Now()
			tell()
		}
	}
	for at := first; ctx.Err() == nil && failed < maxFailures; at += batch {
		simulations.Seeds(ctx, at, batch, draw.Setting, each)
	}
	tell()
	if errors.Is(ctx.Err(), context.Canceled) {
		fmt.Println("interrupted")
	}
	return failed == 0
}
