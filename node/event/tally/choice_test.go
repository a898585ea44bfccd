package tally

import (
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/sched/steal"
)

func TestAChoiceIsToldInWordsAndMilliseconds(t *testing.T) {
	got := Choice(&steal.Choice{
		Why: steal.Kept, Peer: "bob", Here: time.Second, There: 2 * time.Second, By: 3 * time.Second, Came: 4 * time.Second, Regret: 5 * time.Second,
	})
	want := event.Choice{Why: "kept", Peer: "bob", HereMS: 1000, ThereMS: 2000, ByMS: 3000, CameMS: 4000, RegretMS: 5000}
	if *got != want || Choice(nil) != nil {
		t.Errorf("%+v and %+v, want %+v and none", got, Choice(nil), want)
	}
}
