package client

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/node/api"
)

func TestFollowTellsAnEndFromABreak(t *testing.T) {
	const started, finished = `{"event":"build.started","build":"b"}` + "\n", `{"event":"build.finished","build":"b"}` + "\n"
	for stream, want := range map[string]error{
		started + finished:                     nil,
		finished:                               nil,
		"":                                     ErrLost,
		started:                                ErrLost,
		started + finished[:20]:                ErrLost,
		started + strings.Trim(finished, "\n"): ErrLost,
		finished + started:                     ErrLost,
	} {
		if err := follow(strings.NewReader(stream), func([]byte) error { return nil }); !errors.Is(err, want) {
			t.Errorf("follow(%q) = %v, want %v", stream, err, want)
		}
	}
	var told *api.Error
	err := follow(strings.NewReader(started+`{"event":"error","kind":"conflict","error":"e","hint":"h"}`+"\n"), func([]byte) error { return nil })
	if !errors.As(err, &told) || told.Kind != api.Conflict || told.Hint != "h" {
		t.Errorf("an error as the last line: %v", err)
	}
	stop := errors.New("stop")
	if err := follow(strings.NewReader(started), func([]byte) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("a consumer that stops: %v", err)
	}
}

func TestALineLongerThanTheBufferComesWhole(t *testing.T) {
	long := `{"event":"step.output","output":"` + strings.Repeat("x", 1<<20) + `"}`
	var got []byte
	_ = follow(strings.NewReader(long+"\n"), func(line []byte) error { got = bytes.Clone(line); return nil })
	if string(got) != long {
		t.Errorf("%d bytes came of %d", len(got), len(long))
	}
}

func FuzzFollow(f *testing.F) {
	f.Add([]byte("{\"event\":\"build.started\"}\n{\"event\":\"build.finished\"}\n"))
	f.Add([]byte("{\"event\":\"error\"}\n"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		err := follow(bytes.NewReader(stream), func(line []byte) error {
			if bytes.ContainsRune(line, '\n') {
				t.Fatalf("a line with an end in it: %q", line)
			}
			return nil
		})
		if err == nil && !bytes.Contains(stream, []byte("build.finished")) {
			t.Fatal("a build ended well without its end")
		}
	})
}
