package node

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
)

func TestStagesStopInReverse(t *testing.T) {
	var mu sync.Mutex
	var stopped []string
	part := func(name string) service {
		return service{name, func(ctx context.Context) error {
			<-ctx.Done()
			mu.Lock()
			defer mu.Unlock()
			stopped = append(stopped, name)
			return nil
		}}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := runStages(ctx, []service{part("mesh")}, []service{part("scheduler")}, []service{part("api")}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"api", "scheduler", "mesh"}; !slices.Equal(stopped, want) {
		t.Errorf("stopped in the order %v, want %v", stopped, want)
	}
}

func TestStagesEndWithTheFirstThatFails(t *testing.T) {
	broken := errors.New("broken")
	waits := service{"waits", func(ctx context.Context) error { <-ctx.Done(); return nil }}
	fails := service{"fails", func(context.Context) error { return broken }}
	ends := service{"ends", func(context.Context) error { return nil }}
	if err := runStages(t.Context(), []service{waits}, []service{fails}); !errors.Is(err, broken) {
		t.Errorf("runStages = %v, want the failure", err)
	}
	if err := runStages(t.Context(), []service{waits, ends}); !errors.Is(err, errEnded) {
		t.Errorf("runStages = %v, want %v", err, errEnded)
	}
}
