package node_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/node/nodetest"
)

func TestABuildIsRecordedAndASkipSaysWhyNot(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t, 2, "")
	root := nodetest.Tree(t, hello)
	first := n.Build(t, root)
	rec, err := n.Client.Recording(t.Context(), first.Build[:6])
	if err != nil {
		t.Fatal(err)
	}
	if rec.Build != first.Build || len(rec.Steps) != 5 || len(rec.Peers) != 1 || rec.Peers[0].Slots != 2 || rec.Peers[0].BPU <= 0 {
		t.Errorf("recording: %+v", rec)
	}
	for _, s := range rec.Steps {
		if s.Status != event.Executed || s.Peer != 0 || s.RunUS <= 0 || s.StartedUS <= 0 || s.InputBytes <= 0 && len(s.Deps) == 0 {
			t.Errorf("step: %+v", s)
		}
	}
	skip := n.Build(t, root)
	var told *api.Error
	if _, err := n.Client.Recording(t.Context(), skip.Build); !errors.As(err, &told) || told.Kind != api.Conflict || !strings.Contains(told.Message, "nothing to replay") {
		t.Errorf("the recording of an instant skip: %v", err)
	}
	if _, err := n.Client.Recording(t.Context(), "none"); !errors.As(err, &told) || told.Kind != api.NotFound {
		t.Errorf("the recording of no build: %v", err)
	}
}
