package cli

import (
	"context"
	"errors"
	"testing"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/event"
)

func TestWhatRunsIsNotWithdrawn(t *testing.T) {
	m := newManifest(nil, nil, &shown{view: &aside{}, screen: func() {}}, api.InvocationRequest{})
	begins := map[string]context.Context{}
	for _, name := range []string{"runs", "is over", "waits"} {
		ctx, withdraw := context.WithCancelCause(t.Context())
		if begins[name] = ctx; !m.waits(name, withdraw) {
			t.Fatalf("%s may not begin", name)
		}
	}
	line, err := event.Encode(event.StepStarted{Step: "runs"})
	if err == nil {
		err = m.line(line)
	}
	if err != nil {
		t.Fatal(err)
	}
	m.begun("is over")
	given{manifest: m}.Hold()
	for name, ctx := range begins {
		if withdrawn := errors.Is(context.Cause(ctx), errHeld); withdrawn != (name == "waits") {
			t.Errorf("%s is withdrawn: %v", name, withdrawn)
		}
	}
	if m.waits("late", func(error) {}) {
		t.Error("another begins")
	}
}
