package cli

import (
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/buildnet/buildnet/node/event"
)

func TestBoardShowsWhatRunsOldestFirst(t *testing.T) {
	start := time.Unix(1000, 0)
	var b tea.Model = &board{began: start, running: map[string]runningStep{}}
	send := func(after time.Duration, e event.Event) {
		b, _ = b.Update(happened{event: e, at: start.Add(after)})
	}
	if got := b.View().Content; got != "" {
		t.Errorf("before anything: %q", got)
	}
	send(0, event.BuildStarted{Steps: 8, Names: map[string]string{"p": "hostA"}})
	send(time.Second, event.StepStarted{Step: "z", Peer: "p"})
	send(2*time.Second, event.StepStarted{Step: "a", Peer: "unnamed-peer"})
	send(2*time.Second, event.StepFinished{Step: "c", Status: event.CachedLocal, Done: 1, Steps: 8})
	for i := range 3 {
		send(4*time.Second, event.StepFinished{Step: "d", Status: event.Executed, Done: 2 + i, Steps: 8})
	}
	b, _ = b.Update(tick(start.Add(6 * time.Second)))
	b, _ = b.Update(tea.WindowSizeMsg{Width: 70})
	want := strings.Join([]string{
		"[############............] 4/8, 1 cached, 2 running, 6.0s, about 8.0s ",
		"    5.0s  hostA  z",
		"    4.0s  med-peer  a",
	}, "\n")
	if got := b.View().Content; got != want {
		t.Errorf("view:\n%s\nwant:\n%s", got, want)
	}
	send(6*time.Second, event.TaskProgress{Step: "z", Peer: "p", Percent: 7, By: event.Told})
	send(6*time.Second, event.TaskProgress{Step: "a", Peer: "unnamed-peer", Percent: 40, By: event.Aged})
	send(6*time.Second, event.TaskProgress{Step: "a", Peer: "another", Percent: 90})
	want = strings.Join([]string{
		"[############............] 4/8, 1 cached, 2 running, 6.0s, about 8.0s ",
		"    5.0s     7%  hostA  z",
		"    4.0s   ~40%  med-peer  a",
	}, "\n")
	if got := b.View().Content; got != want {
		t.Errorf("view with progress:\n%s\nwant:\n%s", got, want)
	}
	for i := range 20 {
		send(7*time.Second, event.StepStarted{Step: string(rune('b' + i)), Peer: "p"})
	}
	if got := b.View().Content; strings.Count(got, "\n") != maxRunning+1 || !strings.HasSuffix(got, "and 10 more") {
		t.Errorf("view of many:\n%s", got)
	}
	send(8*time.Second, event.HookStarted{Package: "p", Hook: "post_build"})
	if got := b.View().Content; !strings.Contains(got, "running p: post_build") {
		t.Errorf("view with a hook:\n%s", got)
	}
	send(9*time.Second, event.BuildFinished{})
	if got := b.View().Content; got != "" {
		t.Errorf("after the end: %q", got)
	}
}

func TestExitTextsNeverRepeatWhatWasTold(t *testing.T) {
	if got := explain(errFailed, "buildnet"); got != "" {
		t.Errorf("explain(errFailed) = %q", got)
	}
}
