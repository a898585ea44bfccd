package ninja

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"testing"
)

// asNinja has the test binary be the program, so that tests have processes of it.
const asNinja = "BUILDNET_TEST_AS_NINJA"

func TestMain(m *testing.M) {
	if os.Getenv(asNinja) == "" {
		os.Exit(m.Run())
	}
	if err := os.Unsetenv(asNinja); err != nil {
		panic(err)
	}
	ctx, stop := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() { stop(Signal{(<-signals).(syscall.Signal)}) }()
	os.Exit(Main(ctx, os.Args[1:], ThisProcess()))
}
