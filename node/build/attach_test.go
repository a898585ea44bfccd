package build

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store/digest"
)

func TestWhoAttachesHearsOfABuildAndGetsItsOutputs(t *testing.T) {
	w := newWorld(t, map[string]string{
		".buildnet/config.yaml": "version: 1\npackages:\n  - name: p\n    steps:\n      - {run: make, inputs: [a], outputs: [out/x]}\n",
		"a":                     "1",
	})
	w.good(Request{ID: "3f9a00000001"})
	root := t.TempDir()
	var heard []event.Event
	err := w.builder.Attach(t.Context(), Attachment{Build: "3f9a", Root: root}, func(e event.Event) { heard = append(heard, e) })
	if err != nil {
		t.Fatal(err)
	}
	if f := w.summary(heard); f.Build != "3f9a00000001" || !f.OK || f.Executed != 1 {
		t.Errorf("it hears %+v", f)
	}
	if got, err := os.ReadFile(filepath.Join(root, "out/x")); err != nil || string(got) != w.read("out/x") {
		t.Errorf("it gets %q, want %q: %v", got, w.read("out/x"), err)
	}
}

// Any member may say that it has a build, and that it made anything.
func TestWhereABuildThatIsFollowedMayBringItsOutputs(t *testing.T) {
	const config = "version: 1\npackages:\n  - name: p\n    steps:\n      - {run: make, inputs: [a], outputs: [%s]}\n"
	w := newWorld(t, map[string]string{".buildnet/config.yaml": fmt.Sprintf(config, "out/x"), "a": "1"})
	w.good(Request{ID: "3f9a00000001"})
	for name, c := range map[string]struct {
		there  map[string]string
		placed bool
		told   bool // of the build, before it is refused
	}{
		"an empty directory":                     {nil, true, true},
		"a project that declares it":             {map[string]string{".buildnet/config.yaml": fmt.Sprintf(config, "out/x"), "a": "1"}, true, true},
		"a project that declares something else": {map[string]string{".buildnet/config.yaml": fmt.Sprintf(config, "y"), "a": "1"}, false, true},
		"a directory with a file":                {map[string]string{"notes": "mine"}, false, false},
		"a hidden file":                          {map[string]string{".git/config": "mine"}, false, false},
		"a project that cannot be read":          {map[string]string{".buildnet/config.yaml": "{"}, false, false},
	} {
		root := t.TempDir()
		(&world{t: t, root: root}).write(c.there)
		var heard []event.Event
		err := w.builder.Attach(t.Context(), Attachment{Build: "3f9a", Root: root}, func(e event.Event) { heard = append(heard, e) })
		if (err == nil) != c.placed || err != nil && !errors.Is(err, ErrPlace) && !errors.Is(err, ErrRequest) || (len(heard) > 0) != c.told {
			t.Errorf("%s: %v, and %d events", name, err, len(heard))
		}
		if c.told && w.summary(heard).OK != c.placed {
			t.Errorf("%s: %+v", name, w.summary(heard))
		}
		if _, err := os.Stat(filepath.Join(root, "out")); (err == nil) != c.placed {
			t.Errorf("%s: placed: %v", name, err)
		}
	}
}

// An heir's outcome says nothing of a profile that it does not know.
func TestAnInheritedBuildNamesNoProfile(t *testing.T) {
	w := newWorld(t, nil)
	g, err := action.NewGraph([]action.Step{{
		ID: "s", Argv: []string{"x"}, Inputs: digest.Of(digest.BLAKE3, nil), Timeout: time.Second, Reach: action.Anywhere, Sharing: action.Shared,
	}})
	if err != nil {
		t.Fatal(err)
	}
	c := w.builder.Custody("3f9a00000001", "another", &steal.Plan{Graph: g})
	defer c.Close()
	_, end := c.Inherit("3f9a00000001.2")
	end(nil)
	r, at, _ := w.builder.find("3f9a", false)
	if r == nil || at != ended {
		t.Fatalf("the build is not found: %v", at)
	}
	if said := string(r.told.Load().lines); !strings.Contains(said, `"event":"build.finished"`) || strings.Contains(said, `"policy"`) {
		t.Errorf("it says %s", said)
	}
}

func TestHowManyFollowABuildDoesNotKeepItFromBeingFound(t *testing.T) {
	r := &run{req: Request{ID: "3f9a00000001"}}
	r.told.Store(newJournal(func(event.Event) {}))
	b := &Builder{runs: map[*run]struct{}{}}
	b.enter(r)
	b.followers.Store(maxFollowers)
	for ask, want := range map[string]error{askHas: nil, askFind: nil, askFollow: errFull} {
		var said bytes.Buffer
		if err := writeLine(&said, question{ask, string(r.req.ID)}); err != nil {
			t.Fatal(err)
		}
		a := &asked{Reader: bytes.NewReader(said.Bytes())}
		if err := b.answer(t.Context(), a, false, nil); !errors.Is(err, want) || (err == nil) != (a.told.Len() > 0) {
			t.Errorf("%s: %v, and it is told %q", ask, err, a.told.Bytes())
		}
	}
	if n := b.followers.Load(); n != maxFollowers {
		t.Errorf("%d follow", n)
	}
}

func TestWhichBuildIsMeant(t *testing.T) {
	w := newWorld(t, nil)
	now := time.Now()
	add := func(id steal.BuildID, runs, local bool, age time.Duration) {
		r := &run{req: Request{ID: id, Modes: steal.Modes{Local: local}}, started: now.Add(-age)}
		r.told.Store(newJournal(func(event.Event) {}))
		w.builder.enter(r)
		if !runs {
			w.builder.leave(r, true)
		}
	}
	add("3f9a00000001", true, false, 0)
	add("3f9a00000001.2", true, false, time.Second)
	add("3f9a00000001.3", false, false, 0)
	add("3f9b00000001", false, false, 0)
	add("3f9b00000002", false, true, 0)
	add("5555000", false, false, 0)
	add("55550001", false, false, 0)
	for _, c := range []struct {
		id    string
		here  bool
		want  steal.BuildID
		stand stand
		names []string
	}{
		{"3f9a", false, "3f9a00000001", running, nil},
		{"3f9a00000001.2", false, "3f9a00000001.2", running, nil},
		{"3f9", false, "", unknown, nil},
		{"3f9b", false, "3f9b00000001", ended, nil},
		{"3f9b", true, "", unknown, []string{"3f9b00000001", "3f9b00000002"}},
		{"3f9b00000002", true, "3f9b00000002", ended, nil},
		{"3f9b00000002", false, "", unknown, nil},
		{"5555", false, "", unknown, []string{"5555000", "55550001"}},
		{"5555000", false, "5555000", ended, nil},
		{"dead", true, "", unknown, nil},
	} {
		r, at, names := w.builder.find(c.id, c.here)
		var got steal.BuildID
		if r != nil {
			got = r.req.ID
		}
		if got != c.want || at != c.stand || !slices.Equal(names, c.names) {
			t.Errorf("%s from here %v: %q, %v, %q", c.id, c.here, got, at, names)
		}
	}
	if !w.builder.has("3f9b00000002", true) || w.builder.has("3f9b00000002", false) || !w.builder.has("3f9b00000001", false) {
		t.Error("another member is told of a build that was to stay here")
	}
	err := w.builder.Attach(t.Context(), Attachment{Build: "3f9b", Root: t.TempDir()}, func(event.Event) {})
	if !errors.Is(err, ErrAmbiguous) || !strings.Contains(err.Error(), "3f9b00000001, 3f9b00000002; give more of it") {
		t.Errorf("it is told %v", err)
	}
}

func TestWhoIsFollowed(t *testing.T) {
	runs := func(by peer.ID, build string) word { return word{by, reply{Build: build}} }
	ended := func(by peer.ID, build string) word { return word{by, reply{Build: build, Ended: true}} }
	for name, c := range map[string]struct {
		answers []word
		want    peer.ID
		err     error
	}{
		"nobody":                 {[]word{{"a", reply{}}}, "", ErrNoBuild},
		"one that runs":          {[]word{ended("a", "3f9a01"), runs("b", "3f9a01.2")}, "b", nil},
		"the oldest":             {[]word{runs("a", "3f9a01.2"), runs("b", "3f9a01")}, "b", nil},
		"the last that ended":    {[]word{ended("a", "3f9a01.2"), ended("b", "3f9a01")}, "a", nil},
		"two builds":             {[]word{runs("a", "3f9a01"), ended("b", "3f9a02")}, "", ErrAmbiguous},
		"a member has two":       {[]word{runs("a", "3f9a01"), {"b", reply{Matches: []string{"3f9a01", "3f9a02"}}}}, "", ErrAmbiguous},
		"it was not asked for":   {[]word{runs("a", "5555")}, "", ErrNoBuild},
		"another beside that":    {[]word{runs("a", "5555"), ended("b", "3f9a01")}, "b", nil},
		"the whole name is told": {[]word{runs("a", "3f9a"), runs("b", "3f9a01")}, "a", nil},
	} {
		if at, err := choose("3f9a", c.answers); at != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %q, %v", name, at, err)
		}
	}
}

// FuzzFollow reads what a member says of a build.
func FuzzFollow(f *testing.F) {
	result, err := (&action.Result{Isolation: action.Full}).Marshal()
	if err != nil {
		f.Fatal(err)
	}
	var said bytes.Buffer
	for _, v := range []any{closing{Result: result}, closing{End: true}} {
		if err := writeLine(&said, v); err != nil {
			f.Fatal(err)
		}
	}
	started, err := event.Encode(event.BuildStarted{Build: "b"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append(append(started, '\n'), said.Bytes()...))
	f.Add([]byte("{}\n"))
	f.Fuzz(func(_ *testing.T, said []byte) {
		follower := &follower{emit: func(event.Event) {}}
		_, _ = follower.read(bufio.NewReader(bytes.NewReader(said)))
	})
}

// asked is a stream of somebody who asks once.
type asked struct {
	*bytes.Reader
	told bytes.Buffer
}

func (a *asked) Write(b []byte) (int, error) { return a.told.Write(b) }

// FuzzAnswer answers a member that asks for builds.
func FuzzAnswer(f *testing.F) {
	for _, q := range []question{{askHas, "3f9a"}, {askFind, "3f9a"}, {askFollow, "3f9a00000001"}} {
		var said bytes.Buffer
		if err := writeLine(&said, q); err != nil {
			f.Fatal(err)
		}
		f.Add(said.Bytes())
	}
	r := &run{req: Request{ID: steal.BuildID("3f9a00000001")}}
	r.told.Store(newJournal(func(event.Event) {}))
	b := &Builder{runs: map[*run]struct{}{}}
	b.leave(r, true)
	f.Fuzz(func(t *testing.T, said []byte) {
		a := &asked{Reader: bytes.NewReader(said)}
		if err := b.answer(t.Context(), a, false, func() error { return nil }); err != nil && a.told.Len() > 0 {
			t.Errorf("it is told %q, and then %v", a.told.Bytes(), err)
		}
	})
}

func TestWhoFollowsABuildHoldsUpNoOther(t *testing.T) {
	w := newWorld(t, map[string]string{
		".buildnet/config.yaml": "version: 1\npackages:\n  - name: p\n    steps:\n      - {run: make, inputs: [a], outputs: [out/x]}\n",
		"a":                     "1",
	})
	w.good(Request{ID: "3f9a00000001"})
	root, held := t.TempDir(), false
	err := w.builder.Attach(t.Context(), Attachment{Build: "3f9a", Root: root}, func(e event.Event) {
		_, last := e.(event.BuildFinished)
		held = held || !last && w.builder.queue.busy(root)
	})
	if err != nil || held {
		t.Errorf("the tree is held: %v, %v", held, err)
	}
}
