package manifest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/buildnet/buildnet/store/digest"
)

func of(s string) digest.Digest { return digest.Of(digest.BLAKE3, []byte(s)) }

// world is what there is, by path: a file's content, a link's target, or a
// directory.
type world map[string]string

const (
	isDir  = "/"
	isLink = ">"
)

func (w world) Content(p string) (digest.Digest, bool) {
	c, ok := w[p]
	return of(c), ok && c != isDir
}

func (w world) There(p string) bool { _, ok := w[p]; return ok }
func (w world) Gone(p string) bool  { return !w.There(p) }
func (w world) Leads(p string) (string, bool) {
	c, ok := w[p]
	if !ok || c[:1] != isLink {
		return "", false
	}
	return c[1:], true
}
func (w world) Directory(p string) bool { return w[p] == isDir }

func aRun() Run {
	return Run{
		Read:    []File{{"/s/a.c", of("a")}, {"/i/x.h", of("x")}},
		Present: []string{"/i/unread.h"},
		Absent:  []string{"/s/x.h", "/j/x.h"},
		Links:   []Link{{"/l", "i"}},
		Dirs:    []string{"/j"},
		Action:  of("action"),
	}
}

func before() world {
	return world{"/s/a.c": "a", "/i/x.h": "x", "/i/unread.h": "u", "/l": ">i", "/j": isDir}
}

func TestARunCountsWhileWhatItDependedOnIsAsItWas(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(world)
		hit    bool
	}{
		"Nothing":                    {func(world) {}, true},
		"AnUnreadHeader":             {func(w world) { w["/i/unread.h"] = "other" }, true},
		"AFileNobodyLookedFor":       {func(w world) { w["/i/new.h"] = "n" }, true},
		"AHeaderThatWasRead":         {func(w world) { w["/i/x.h"] = "other" }, false},
		"AReadHeaderThatIsGone":      {func(w world) { delete(w, "/i/x.h") }, false},
		"AHeaderEarlierOnThePath":    {func(w world) { w["/j/x.h"] = "x" }, false},
		"AHeaderBesideTheSource":     {func(w world) { w["/s/x.h"] = "x" }, false},
		"AnUnreadHeaderThatIsGone":   {func(w world) { delete(w, "/i/unread.h") }, false},
		"ALinkThatLeadsElsewhere":    {func(w world) { w["/l"] = ">j" }, false},
		"ALinkThatIsADirectory":      {func(w world) { w["/l"] = isDir }, false},
		"ADirectoryThatIsGone":       {func(w world) { delete(w, "/j") }, false},
		"ADirectoryThatIsAFile":      {func(w world) { w["/j"] = "j" }, false},
		"ADirectoryWhereNothingWas":  {func(w world) { w["/j/x.h"] = isDir }, false},
		"WhatWasReadHasOtherContent": {func(w world) { w["/s/a.c"] = "b" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			var m Manifest
			m.Add(aRun())
			w := before()
			tc.change(w)
			if got, hit := m.Find(w); hit != tc.hit || hit && got != of("action") {
				t.Errorf("%v, %v", got, hit)
			}
		})
	}
}

func TestTheNewestRunsAreKept(t *testing.T) {
	var m Manifest
	for i := range maxRuns + 3 {
		r := aRun()
		r.Read[1].Digest, r.Action = of(fmt.Sprint(i)), of(fmt.Sprint("action", i))
		m.Add(r)
	}
	if m.Len() != maxRuns {
		t.Errorf("%d runs", m.Len())
	}
	w := before()
	w["/i/x.h"] = fmt.Sprint(maxRuns + 2)
	if got, ok := m.Find(w); !ok || got != of(fmt.Sprint("action", maxRuns+2)) {
		t.Errorf("the newest: %v, %v", got, ok)
	}
	w["/i/x.h"] = "0"
	if _, ok := m.Find(w); ok {
		t.Error("the oldest is there")
	}
	r := aRun()
	r.Action = of("again")
	m.Add(r)
	r.Action = of("once more")
	m.Add(r)
	if got, _ := m.Find(before()); got != of("once more") || m.runs[1].Action == of("again") {
		t.Errorf("a run that depended on the same is there twice")
	}
}

func TestKeysTellCommandsAndSourcesApart(t *testing.T) {
	seen := map[digest.Digest]bool{}
	for _, c := range []string{"c", "d"} {
		for _, s := range [][]File{nil, {{"/a", of("1")}}, {{"/a", of("2")}}, {{"/b", of("1")}}, {{"/a", of("1")}, {"/b", of("1")}}} {
			seen[KeyOf(of(c), s)] = true
		}
	}
	if len(seen) != 10 {
		t.Errorf("%d keys of 10", len(seen))
	}
}

func anyRun(t *rapid.T) Run {
	path := rapid.StringMatching(`/[a-c]{1,3}(/[a-c]{1,3}){0,3}`)
	paths := rapid.SliceOfNDistinct(path, 0, 6, rapid.ID[string])
	file := rapid.Custom(func(t *rapid.T) File { return File{path.Draw(t, "path"), of(rapid.String().Draw(t, "content"))} })
	link := rapid.Custom(func(t *rapid.T) Link { return Link{path.Draw(t, "path"), rapid.String().Draw(t, "target")} })
	return Run{
		Read:    rapid.SliceOfN(file, 0, 5).Draw(t, "read"),
		Present: paths.Draw(t, "present"), Absent: paths.Draw(t, "absent"), Dirs: paths.Draw(t, "dirs"),
		Links:  rapid.SliceOfN(link, 0, 3).Draw(t, "links"),
		Action: of(rapid.String().Draw(t, "action")),
	}
}

func TestWhatIsEncodedReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m Manifest
		for range rapid.IntRange(0, 5).Draw(t, "runs") {
			m.Add(anyRun(t))
		}
		got, err := Unmarshal(m.Marshal())
		if err != nil {
			t.Fatal(err)
		}
		if len(got.runs) != len(m.runs) {
			t.Fatalf("%d runs of %d", len(got.runs), len(m.runs))
		}
		for i := range m.runs {
			if !m.runs[i].same(&got.runs[i]) || m.runs[i].Action != got.runs[i].Action {
				t.Fatalf("run %d: %+v, want %+v", i, got.runs[i], m.runs[i])
			}
		}
	})
}

func FuzzUnmarshal(f *testing.F) {
	var m Manifest
	m.Add(aRun())
	f.Add(m.Marshal())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Unmarshal(b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("error %v", err)
			}
			return
		}
		again, err := Unmarshal(m.Marshal())
		if err != nil || !cmp.Equal(len(again.runs), len(m.runs)) {
			t.Errorf("what was read does not read back: %v", err)
		}
	})
}
