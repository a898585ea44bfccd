package node_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/node"
	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/event"
)

func TestABuildIsRecordedAndASkipSaysWhyNot(t *testing.T) {
	n := start(t, node.Config{Slots: 2})
	root := writeTree(t, hello)
	first := summary(t, n.build(t, api.BuildRequest{Dir: root}))
	rec, err := n.client.Recording(t.Context(), first.Build[:6])
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
	skip := summary(t, n.build(t, api.BuildRequest{Dir: root}))
	var told *api.Error
	if _, err := n.client.Recording(t.Context(), skip.Build); !errors.As(err, &told) || told.Kind != api.Conflict || !strings.Contains(told.Message, "nothing to replay") {
		t.Errorf("the recording of an instant skip: %v", err)
	}
	if _, err := n.client.Recording(t.Context(), "none"); !errors.As(err, &told) || told.Kind != api.NotFound {
		t.Errorf("the recording of no build: %v", err)
	}
}
