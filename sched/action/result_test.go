package action_test

import (
	"encoding/base64"
	"errors"
	"reflect"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/action/actionpb"
	"github.com/buildnet/buildnet/store/digest"
)

// storedEntry was kept by a node whose results had one stream and no causes.
const storedEntry = `CikBA7WEUcqx6JsWrG7O/hJOxs9HUHGqM3UJepbPyIQguEMAAAAAAAAABhKxARo0CgNhLm8QARopARd2L93ZaaRTkl1lcXrD7qITILZrVDQv3hUSjWyv` +
	`ISFfAAAAAAAAAAEgARowCgFkEAIaKQHV7eU49ij2h+XgQix3VbUDZT3i3NcFPKh5GvpdR4fYQwAAAAAAAAABGgoKAWwQAyoDYS5vIikBVEOvDA6X9gtX8UUPMFEke86PklZf` +
	`62zWUMk2m3nwtDsAAAAAAAAAAygBMICU69wDOICo1rkHQICAQBo0MTJEM0tvb1dOUFlRMXdUZndINUxrWHFKOUtUWWFoNU5rMTgxWWRZSHROVVQzV0xCSHhGbiJARU1v9+MQ` +
	`jMcG30nxFe++IUqD07joXaVR6jwuxmdmEE5LXMuAmv3fOdaa4De3RJ8HL8CR1vyd0lHJLQvPRj/6CA==`

func TestAnEntryOfAnOlderNodeIsStillGood(t *testing.T) {
	b, err := base64.StdEncoding.DecodeString(storedEntry)
	if err != nil {
		t.Fatal(err)
	}
	e, err := action.UnmarshalEntry(b)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Verify(); err != nil {
		t.Error(err)
	}
	want := action.Result{
		Outputs: []action.Output{
			{Path: "a.o", Kind: action.File, Digest: digest.Of(digest.BLAKE3, []byte("a")), Executable: true},
			{Path: "d", Kind: action.Directory, Digest: digest.Of(digest.BLAKE3, []byte("d"))},
			{Path: "l", Kind: action.Symlink, Target: "a.o"},
		},
		Stdout:    digest.Of(digest.BLAKE3, []byte("out")),
		Isolation: action.Full, Wall: time.Second, CPU: 2 * time.Second, MaxRSS: 1 << 20,
	}
	if !reflect.DeepEqual(e.Result, want) {
		t.Errorf("it reads as %+v", e.Result)
	}
	// A result without what is new is written as it was: nodes that made the same
	// sign the same bytes.
	again, err := action.SignEntry(e.Action, e.Result, e.Executor, func([]byte) ([]byte, error) { return e.Signature, nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Verify(); err != nil {
		t.Errorf("signed again: %v", err)
	}
}

func results() *rapid.Generator[action.Result] {
	digests := rapid.Custom(func(t *rapid.T) digest.Digest {
		if rapid.Bool().Draw(t, "none") {
			return digest.Digest{}
		}
		return digest.Of(digest.BLAKE3, rapid.SliceOf(rapid.Byte()).Draw(t, "content"))
	})
	return rapid.Custom(func(t *rapid.T) action.Result {
		r := action.Result{
			ExitCode: int(rapid.Int32().Draw(t, "code")), Message: rapid.String().Draw(t, "message"),
			Stdout: digests.Draw(t, "stdout"), Stderr: digests.Draw(t, "stderr"),
			Isolation: action.Isolation(rapid.IntRange(1, 4).Draw(t, "isolation")),
			Wall:      time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "wall")),
		}
		if r.Message != "" {
			r.Cause = action.Cause(rapid.IntRange(0, int(action.BadOutputs)).Draw(t, "cause"))
		}
		for _, name := range rapid.SliceOfDistinct(rapid.StringMatching(`[a-z]{1,8}`), rapid.ID[string]).Draw(t, "outputs") {
			o := action.Output{Path: name, Kind: action.OutputKind(rapid.IntRange(1, 3).Draw(t, "kind"))}
			if o.Target = "x"; o.Kind != action.Symlink {
				o.Target, o.Digest = "", digest.Of(digest.BLAKE3, []byte(name))
			}
			if o.Properties.HasMode = rapid.Bool().Draw(t, "has a mode"); o.Properties.HasMode {
				o.Properties.Mode = uint32(rapid.IntRange(0, 0o777).Draw(t, "mode"))
			}
			if rapid.Bool().Draw(t, "has a time") {
				o.Properties.SetTime(time.Unix(rapid.Int64Range(-1e10, 1e11).Draw(t, "seconds"), rapid.Int64Range(0, 1e9-1).Draw(t, "nanoseconds")))
			}
			r.Outputs = append(r.Outputs, o)
		}
		return r
	})
}

func TestResultsReadBackAsTheyWereWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := results().Draw(t, "result")
		b, err := r.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		back, err := action.UnmarshalResult(b)
		if err != nil || !reflect.DeepEqual(*back, r) {
			t.Fatalf("%+v reads back as %+v, %v", r, back, err)
		}
	})
}

func TestBlobsOfAResultAreAllThatItNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := results().Draw(t, "result")
		named := map[digest.Digest]int{}
		for _, d := range []digest.Digest{r.Stdout, r.Stderr} {
			named[d]++
		}
		for _, o := range r.Outputs {
			named[o.Digest]++
		}
		files, dirs := r.Blobs()
		for _, d := range append(files, dirs...) {
			if d.IsZero() {
				t.Fatal("a blob without a name")
			}
			named[d]--
		}
		for d, n := range named {
			if n != 0 && !d.IsZero() {
				t.Fatalf("%v: %d are missing", d, n)
			}
		}
	})
}

func TestCausesOfAResult(t *testing.T) {
	read := func(m *actionpb.Result) (*action.Result, error) {
		t.Helper()
		m.Isolation = uint32(action.Full)
		b, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return action.UnmarshalResult(b)
	}
	if r, err := read(&actionpb.Result{Message: "late", Cause: 1}); err != nil || r.Cause != action.TimedOut {
		t.Errorf("timed out: %+v, %v", r, err)
	}
	if r, err := read(&actionpb.Result{Message: "new", Cause: 77}); err != nil || r.Cause != action.Exited || r.OK() {
		t.Errorf("a cause of later nodes: %+v, %v", r, err)
	}
	if _, err := read(&actionpb.Result{Cause: 1}); !errors.Is(err, action.ErrInvalid) {
		t.Errorf("a cause of no failure: %v", err)
	}
	names := map[string]bool{}
	for c := action.Exited; c <= action.BadOutputs+1; c++ {
		names[c.String()] = true
	}
	if len(names) != int(action.BadOutputs)+2 {
		t.Errorf("they are called %v", names)
	}
}

func TestWhatFitsAStep(t *testing.T) {
	a, b := file("a", "a"), file("b", "b")
	stderr := digest.Of(digest.BLAKE3, []byte("stderr"))
	strict := step("s", digest.Of(digest.BLAKE3, nil), "a", "b")
	lenient := strict
	lenient.Platform = []action.Property{{Name: action.PropertyOutputs, Value: action.OutputsOptional}}
	other := strict
	other.Platform = []action.Property{{Name: action.PropertyOutputs, Value: "other"}}
	apart := strict
	apart.Platform = []action.Property{{Name: action.PropertyStreams, Value: action.StreamsApart}}
	for name, c := range map[string]struct {
		step action.Step
		r    action.Result
		fits bool
	}{
		"All":              {strict, action.Result{Outputs: []action.Output{a, b}}, true},
		"Some":             {strict, action.Result{Outputs: []action.Output{a}}, false},
		"SomeOfAFailure":   {strict, action.Result{ExitCode: 1, Outputs: []action.Output{a}}, true},
		"Others":           {strict, action.Result{Outputs: []action.Output{a, b, file("c", "c")}}, false},
		"Stderr":           {strict, action.Result{Outputs: []action.Output{a, b}, Stderr: stderr}, false},
		"OptionalAll":      {lenient, action.Result{Outputs: []action.Output{a, b}}, true},
		"OptionalSome":     {lenient, action.Result{Outputs: []action.Output{b}}, true},
		"OptionalNone":     {lenient, action.Result{}, true},
		"OptionalOthers":   {lenient, action.Result{Outputs: []action.Output{file("c", "c")}}, false},
		"OptionalTwice":    {lenient, action.Result{Outputs: []action.Output{a, a}}, false},
		"OptionalUnsorted": {lenient, action.Result{Outputs: []action.Output{b, a}}, false},
		"OptionalStderr":   {lenient, action.Result{Stderr: stderr}, false},
		"AnotherValue":     {other, action.Result{Outputs: []action.Output{a}}, false},
		"Apart":            {apart, action.Result{Outputs: []action.Output{a, b}, Stderr: stderr}, true},
		"ApartSome":        {apart, action.Result{Outputs: []action.Output{a}, Stderr: stderr}, false},
	} {
		if err := c.step.Fits(&c.r); (err == nil) != c.fits {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzUnmarshalResult(f *testing.F) {
	f.Add([]byte{})
	r := action.Result{
		Message: "late", Cause: action.TimedOut, Outputs: []action.Output{file("a", "a")},
		Stdout: digest.Of(digest.BLAKE3, []byte("o")), Stderr: digest.Of(digest.BLAKE3, []byte("e")), Isolation: action.Full,
	}
	b, err := r.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := action.UnmarshalResult(b)
		if err != nil {
			return
		}
		again, err := r.Marshal()
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		if back, err := action.UnmarshalResult(again); err != nil || !reflect.DeepEqual(back, r) {
			t.Fatalf("%+v reads back as %+v, %v", r, back, err)
		}
	})
}
