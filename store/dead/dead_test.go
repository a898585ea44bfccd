package dead_test

import (
	"encoding/json"
	"fmt"
	"slices"
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
	all, err := l.List(dead.Any, now)
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
	all, err := l.List(dead.Any, start)
	if err != nil {
		t.Fatal(err)
	}
	want := letter("a", start.Add(2*time.Minute))
	want.ID = all[0].ID
	if diff := cmp.Diff(want, all[0]); diff != "" || len(all) != 2 || len(want.ID) != 12 {
		t.Errorf("%d letters, the newest is %s", len(all), diff)
	}
	l = dead.New(kv)
	if err := l.Done(dead.Any, dead.Steps{Root: "/another", IDs: []string{"a", "b"}}, start); err != nil {
		t.Fatal(err)
	}
	if err := l.Done(dead.Any, dead.Steps{Root: "/p", IDs: []string{"x", "a"}}, start); err != nil {
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
	all, err := l.List(dead.Any, big.At)
	if err != nil || len(all) != 1 || len(all[0].Cause) > 4<<10 || len(all[0].Tries) != 16 || all[0].Tries[15].Cause == "" {
		t.Errorf("%d letters, %v", len(all), err)
	}
}

func TestEachUserHasLettersOfHisOwn(t *testing.T) {
	l := dead.New(&memory.KV{})
	for _, owner := range []dead.User{dead.Any, 1001, 1002} {
		mine := letter("a", start)
		mine.Owner = owner
		if err := l.Put(mine); err != nil {
			t.Fatal(err)
		}
	}
	owners := func(by dead.User) string {
		all, err := l.List(by, start)
		if err != nil {
			t.Fatal(err)
		}
		var seen []int
		for _, letter := range all {
			seen = append(seen, int(letter.Owner))
		}
		slices.Sort(seen)
		return fmt.Sprint(seen)
	}
	done := func(by dead.User) {
		if err := l.Done(by, dead.Steps{Root: "/p", IDs: []string{"a"}}, start); err != nil {
			t.Fatal(err)
		}
	}
	for by, want := range map[dead.User]string{dead.Any: "[-1 1001 1002]", 1001: "[1001]", 1002: "[1002]", 1003: "[]"} {
		if got := owners(by); got != want {
			t.Errorf("user %d sees letters of %s, want %s", by, got, want)
		}
	}
	done(1003)
	done(1001)
	if got := owners(dead.Any); got != "[-1 1002]" {
		t.Errorf("when 1001 has done it there are letters of %s", got)
	}
	done(dead.Any)
	if got := owners(dead.Any); got != "[]" {
		t.Errorf("when who may see all has done it there are letters of %s", got)
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
