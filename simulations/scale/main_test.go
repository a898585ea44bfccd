package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/buildnet/buildnet/simulations/scenario"
	"github.com/buildnet/buildnet/simulations/setting"
)

func small(t *testing.T) *setting.Setting {
	t.Helper()
	s, err := scenario.Builtin("lan-10")
	if err != nil {
		t.Fatal(err)
	}
	set, err := s.Setting(1, scenario.Scale{})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestARunThatEndsEarlyIsNoMeasurement(t *testing.T) {
	if m, err := simulate(t.Context(), small(t)); err != nil || m.Completed != 2 {
		t.Errorf("%+v, %v", m, err)
	}
	broken := small(t)
	broken.Limit = time.Millisecond // no build is that fast
	if m, err := simulate(t.Context(), broken); m != nil || err == nil || !strings.Contains(err.Error(), "every build ends") {
		t.Errorf("a broken rule: %+v, %v", m, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if m, err := simulate(ctx, small(t)); m != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("an interrupt: %+v, %v", m, err)
	}
}
