package dead_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/buildnet/buildnet/store/dead"
	"github.com/buildnet/buildnet/store/memory"
)

var start = time.Unix(1_000_000, 0).UTC()

func letter(step string, at time.Time) dead.Letter {
	return dead.Letter{
		At: at, Build: "b", Root: "/p", Step: step, Cause: "2 tries came to nothing",
		Tries:   []dead.Try{{At: at, Peer: "p", Name: "host", Cause: "its disk is full"}},
		Request: json.RawMessage(`{"dir":"/p"}`),
	}
}

func list(t *testing.T, l *dead.Letters, now time.Time) (steps []string) {
	t.Helper()
	all, err := l.List(now)
	if err != nil {
		t.Fatal(err)
	}
	for _, letter := range all {
		steps = append(steps, letter.Step)
	}
	return steps
}

func TestALetterIsKeptUntilItsStepIsDone(t *testing.T) {
	kv := &memory.KV{}
	l := dead.New(kv)
	for i, step := range []string{"a", "b", "a"} {
		if err := l.Put(letter(step, start.Add(time.Duration(i)*time.Minute))); err != nil {
			t.Fatal(err)
		}
	}
	l = dead.New(kv) // another run of the node
	all, err := l.List(start)
	if err != nil {
		t.Fatal(err)
	}
	want := letter("a", start.Add(2*time.Minute))
	want.ID = all[0].ID
	if diff := cmp.Diff(want, all[0]); diff != "" || len(all) != 2 || len(want.ID) != 12 {
		t.Errorf("%d letters, the newest is %s", len(all), diff)
	}
	l = dead.New(kv)
	if err := l.Done("/another", []string{"a", "b"}, start); err != nil {
		t.Fatal(err)
	}
	if err := l.Done("/p", []string{"x", "a"}, start); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"b"}, list(t, l, start)); diff != "" {
		t.Error(diff)
	}
}

func TestLettersAreBoundedAndAged(t *testing.T) {
	l := dead.New(&memory.KV{})
	for i := range dead.MaxLetters + 10 {
		if err := l.Put(letter(fmt.Sprintf("%04d", i), start.Add(time.Duration(i)*time.Second))); err != nil {
			t.Fatal(err)
		}
	}
	steps := list(t, l, start)
	if len(steps) != dead.MaxLetters || steps[0] != "1009" || steps[len(steps)-1] != "0010" {
		t.Errorf("%d letters, from %s to %s", len(steps), steps[0], steps[len(steps)-1])
	}
	big := letter("big", start.Add(dead.MaxAge+time.Hour))
	big.Cause = strings.Repeat("\xffä", 1<<16)
	big.Tries = make([]dead.Try, 100)
	big.Tries[99].Cause = big.Cause
	if err := l.Put(big); err != nil {
		t.Fatal(err)
	}
	all, err := l.List(big.At)
	if err != nil || len(all) != 1 || len(all[0].Cause) > 4<<10 || len(all[0].Tries) != 16 || all[0].Tries[15].Cause == "" {
		t.Errorf("%d letters, %v", len(all), err)
	}
}

func TestDamagedLettersAreDropped(t *testing.T) {
	kv := &memory.KV{}
	for key, value := range map[string]string{"l/none": "{", "l/other": `{"id":"another"}`} {
		if err := kv.Put([]byte(key), []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	if steps := list(t, dead.New(kv), start); len(steps) > 0 {
		t.Errorf("letters of %v", steps)
	}
	if _, err := kv.Get([]byte("l/none")); err == nil {
		t.Error("it stays")
	}
}
