package ninja

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/event"
)

// farm is an Elsewhere that runs commands with /bin/sh in the directory of the
// build, slots of them at once, but those whose command has the word "here".
type farm struct {
	here         Runner
	slots        int
	begun, ended int
	beginning    Beginning
	end          End
	refuse       error
	lostAfter    int // commands; 0 is never

	mu              sync.Mutex
	jobs            []Job
	held            int // slots of this machine
	waiting, most   int // commands that were given and have not ended
	enough          chan struct{}
	enoughAt        int
	opened          bool
	releasedTooSoon bool
	// made is what was told of commands that ran here, if tells is set.
	tells    bool
	made     []Result
	released []Result
	// queue holds up commands that have the word "queued" until it is closed, when
	// they come back as NotBegun.
	queue chan struct{}
}

func (f *farm) Begin(_ context.Context, b Beginning) (Invocation, error) {
	f.begun++
	f.beginning = b
	if f.refuse != nil {
		return nil, f.refuse
	}
	return f, nil
}

func (f *farm) Jobs() int { return f.slots }

func (f *farm) Hold() {
	if f.queue != nil {
		close(f.queue)
	}
}

func (f *farm) Run(ctx context.Context, job Job) (Outcome, error) {
	f.mu.Lock()
	f.jobs = append(f.jobs, job)
	f.waiting++
	if f.most = max(f.most, f.waiting); f.enoughAt > 0 && f.waiting == f.enoughAt && !f.opened {
		f.opened = true
		close(f.enough)
	}
	lost := f.lostAfter > 0 && len(f.jobs) > f.lostAfter
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.waiting--
	}()
	if f.enoughAt > 0 {
		select {
		case <-f.enough:
		case <-ctx.Done():
			return Outcome{}, ctx.Err()
		}
	}
	if strings.Contains(job.Command, "queued") {
		<-f.queue
		return Outcome{Result: Result{Status: NotBegun}}, nil
	}
	if lost {
		return Outcome{}, errors.New("the connection to the node broke")
	}
	if job.HereOnly != "" || strings.Contains(job.Command, "here") {
		why := job.HereOnly
		if why == "" {
			why = "it is no compiler"
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.held++
		var made func(Result) Result
		if f.tells {
			made = func(r Result) Result {
				f.made = append(f.made, r)
				_, err := os.Stat(filepath.Join(f.beginning.Dir, job.Depfile))
				f.releasedTooSoon = f.releasedTooSoon || f.held == 0 || err != nil
				r.Action = "an action"
				return r
			}
		}
		return Outcome{Result: Result{Ran: Ran{Here: []string{why}}}, Made: made, Release: func(r Result) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.held--
			f.released = append(f.released, r)
			_, err := os.Stat(filepath.Join(f.beginning.Dir, job.Outs[0]))
			f.releasedTooSoon = f.releasedTooSoon || err != nil
		}}, nil
	}
	r := f.here.Run(ctx, job)
	r.Ran = Ran{How: event.Executed, Peer: "far", Took: 1500 * time.Millisecond}
	return Outcome{Result: r}, nil
}

func (f *farm) End(e End) { f.ended, f.end = f.ended+1, e }

// shop is a directory with a manifest, and what builds of it say.
type shop struct {
	t        *testing.T
	dir      string
	out, err bytes.Buffer
	finished []Finished
}

func newShop(t *testing.T, manifest string) *shop {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := &shop{t: t, dir: dir}
	s.write("build.ninja", manifest)
	return s
}

func (s *shop) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) build(f *farm, change func(*Options)) int {
	o := Defaults()
	if change != nil {
		change(&o)
	}
	s.out.Reset()
	s.err.Reset()
	s.finished = nil
	w := World{
		Dir: s.dir, Stdout: &s.out, Stderr: &s.err, Runner: Local{Dir: s.dir},
		Sharing: Sharing{HereBecause: "--local", Watch: func(e Finished) { s.finished = append(s.finished, e) }},
	}
	if f != nil {
		f.here = Local{Dir: s.dir}
		w.Elsewhere = f
	}
	return Run(s.t.Context(), o, w)
}

// where says of each command where it ran, sorted.
func (s *shop) where() (all []string) {
	for _, e := range s.finished {
		all = append(all, fmt.Sprint(e.Outs[0], " ", e.Peer, e.Here))
	}
	slices.Sort(all)
	return all
}

const workshop = `
rule cc
  command = cat $in > $out
rule here
  command = cat $in > $out; true here
rule far
  command = cat $in > $out
  pool = console
build a.o: cc a.c
build b.o: cc b.c
build lib: here a.o b.o
build run: far lib
`

func filledShop(t *testing.T) *shop {
	t.Helper()
	s := newShop(t, workshop)
	s.write("a.c", "a\n")
	s.write("b.c", "b\n")
	return s
}

func TestCommandsRunElsewhereAndHere(t *testing.T) {
	s, f := filledShop(t), &farm{slots: 4}
	if code := s.build(f, func(o *Options) { o.Targets = []string{"run"} }); code != 0 {
		t.Fatalf("exit %d: %s%s", code, &s.out, &s.err)
	}
	want := []string{"a.o far[]", "b.o far[]", "lib [it is no compiler]", "run [console: it has the terminal]"}
	if got := s.where(); !slices.Equal(got, want) {
		t.Errorf("ran %q, want %q", got, want)
	}
	if text, err := os.ReadFile(filepath.Join(s.dir, "run")); err != nil || string(text) != "a\nb\n" {
		t.Errorf("made %q, %v", text, err)
	}
	if f.held != 0 || f.releasedTooSoon || f.begun != 1 || f.ended != 1 || f.end != (End{OK: true}) || f.beginning.Dir != s.dir || !slices.Equal(f.beginning.Targets, []string{"run"}) {
		t.Errorf("%+v", f)
	}
	if lines := strings.Count(s.out.String(), "\n"); lines != 4 || s.err.Len() > 0 {
		t.Errorf("says %q and %q", &s.out, &s.err)
	}
	if last := s.finished[3]; last.Done != 4 || last.Total != 4 || last.Why != "output run doesn't exist" && last.Why != "lib is dirty" {
		t.Errorf("the last is %+v", last)
	}
	s.build(f, nil)
	if f.begun != 1 || !strings.Contains(s.out.String(), "no work to do") {
		t.Errorf("with nothing to do: begun %d times, says %q", f.begun, &s.out)
	}
	s.write("b.c", "new\n")
	if s.build(f, func(o *Options) { o.DryRun = true }); f.begun != 1 {
		t.Error("a dry run has begun something")
	}
	if code := s.build(nil, nil); code != 0 || !slices.Equal(s.where(), []string{"b.o [--local]", "lib [--local]", "run [console: it has the terminal]"}) {
		t.Errorf("here alone: exit %d, %q", code, s.where())
	}
}

// TestWhatOnlyThisMachineCanRunAsksNobody covers plans in which nothing may leave.
func TestWhatOnlyThisMachineCanRunAsksNobody(t *testing.T) {
	f := &farm{slots: 4}
	s := newShop(t, "rule gen\n  command = touch $out\n  generator = 1\nbuild out: gen\n")
	if code := s.build(f, nil); code != 0 || f.begun != 0 || !slices.Equal(s.where(), []string{"out [generator: it may read anything]"}) {
		t.Errorf("exit %d, begun %d times, %q", code, f.begun, s.where())
	}
}

// TestManyCommandsAreGivenAway covers how many: what others have slots for, and
// never more than the user allows.
func TestManyCommandsAreGivenAway(t *testing.T) {
	var manifest strings.Builder
	manifest.WriteString("rule cc\n  command = touch $out\n")
	for i := range 40 {
		fmt.Fprintf(&manifest, "build %d.o: cc\n", i)
	}
	for _, tc := range []struct {
		name        string
		slots, jobs int
		want        int
	}{{"Slots", 30, 0, 30}, {"JobsOfTheUser", 30, 7, 7}, {"NoFewerThanHere", 1, 0, defaultJobs(100)}} {
		want := tc.want
		if tc.name == "NoFewerThanHere" {
			o := Defaults()
			want = o.jobsHere()
		}
		f := &farm{slots: tc.slots, enough: make(chan struct{}), enoughAt: want}
		s := newShop(t, manifest.String())
		code := s.build(f, func(o *Options) { o.Jobs = tc.jobs })
		if code != 0 || f.most != want || f.beginning.Jobs != tc.jobs || len(s.finished) != 40 {
			t.Errorf("%s: exit %d, at most %d, want %d; %d finished", tc.name, code, f.most, want, len(s.finished))
		}
	}
}

func TestWhatMostWaitsForGoesFirst(t *testing.T) {
	s := newShop(t, "rule cc\n  command = touch $out\nbuild short: cc\nbuild long1: cc\nbuild long2: cc long1\nbuild long3: cc long2\nbuild slow: cc\nbuild after: cc slow\n")
	s.write(".ninja_log", "# ninja log v5\n0\t90000\t1\tafter\tffff\n0\t1000\t1\tlong3\tffff\n")
	f := &farm{slots: 1}
	s.build(f, func(o *Options) { o.Jobs = 1 })
	var order []string
	ranks := map[string]float64{}
	for _, j := range f.jobs {
		order = append(order, j.Outs[0])
		ranks[j.Outs[0]] = j.Rank
	}
	// What is not known takes as long as the others on average: 45.5 s.
	if want := []string{"slow", "long1", "long2", "short", "long3", "after"}; !slices.Equal(order, want) {
		t.Errorf("order %q, want %q", order, want)
	}
	if ranks["slow"] != 90 || ranks["long1"] != 46.5 || ranks["long2"] != 1 || ranks["short"] != 0 {
		t.Errorf("ranks %v", ranks)
	}
}

func TestTheRecordHasWhatCommandsTook(t *testing.T) {
	s, f := filledShop(t), &farm{slots: 4}
	s.build(f, nil)
	text, err := os.ReadFile(filepath.Join(s.dir, ".ninja_log"))
	if err != nil || !strings.Contains(string(text), "\n0\t") {
		t.Errorf("a command that took longer than all else has not begun at 0: %s, %v", text, err)
	}
}

func TestALostNodeLeavesTheRestToThisMachine(t *testing.T) {
	s, f := filledShop(t), &farm{slots: 4, lostAfter: 2}
	if code := s.build(f, nil); code != 0 {
		t.Fatalf("exit %d: %s%s", code, &s.out, &s.err)
	}
	if got := s.where(); !slices.Equal(got, []string{"a.o far[]", "b.o far[]", "lib [the node was lost]", "run [the node was lost]"}) {
		t.Errorf("ran %q", got)
	}
	if said := strings.Count(s.err.String(), "the connection to the node broke"); said != 1 {
		t.Errorf("said %d times: %s", said, &s.err)
	}
}

func TestNobodyToAskIsSaidOnce(t *testing.T) {
	s, f := filledShop(t), &farm{refuse: errors.New("no node is running")}
	if code := s.build(f, nil); code != 0 || f.ended != 0 {
		t.Fatalf("exit %d, ended %d times: %s%s", code, f.ended, &s.out, &s.err)
	}
	if want := "ninja: warning: all runs on this machine: no node is running\n"; s.err.String() != want {
		t.Errorf("said %q, want %q", &s.err, want)
	}
}

func TestTheEndOfABuildIsTold(t *testing.T) {
	s, f := newShop(t, "rule bad\n  command = echo no; exit 3; here\nrule cc\n  command = touch $out\nbuild a: bad\nbuild b: cc a\n"), &farm{slots: 4}
	if code := s.build(f, nil); code != 1 || f.end != (End{NotRun: 1}) {
		t.Errorf("exit %d, end %+v", code, f.end)
	}
	if len(f.released) != 1 || f.released[0].Status != Failed || f.released[0].ExitCode != 3 || string(f.released[0].Output) != "no\n" {
		t.Errorf("released with %+v", f.released)
	}
	if want := "[1/2] echo no; exit 3; here\nFAILED: a \necho no; exit 3; here\nno\nninja: build stopped: subcommand failed.\n"; s.out.String() != want {
		t.Errorf("says %q, want %q", &s.out, want)
	}
}

// What was given away and has not begun when a command fails would not have been
// started by ninja; what runs goes on.
func TestNothingBeginsAfterAFailure(t *testing.T) {
	const manifest = `
rule bad
  command = until test -e runs; do sleep 0.01; done; exit 3
rule runs
  command = touch $out; sleep 0.1
rule queued
  command = cat $out.rsp queued > $out
  rspfile = $out.rsp
  rspfile_content = text
build bad: bad
build runs: runs
build q1: queued
build q2: queued
build last: queued q1
`
	s, f := newShop(t, manifest), &farm{slots: 4, queue: make(chan struct{})}
	if code := s.build(f, nil); code != 1 || f.end != (End{NotRun: 1}) || f.waiting != 0 {
		t.Errorf("exit %d, end %+v, %d are under way", code, f.end, f.waiting)
	}
	if got := s.where(); !slices.Equal(got, []string{"bad far[]", "runs far[]"}) {
		t.Errorf("ran %q", got)
	}
	if left, _ := filepath.Glob(filepath.Join(s.dir, "q*")); len(left) > 0 {
		t.Errorf("of what was not begun is left: %q", left)
	}
	if !strings.Contains(s.out.String(), "[2/5]") || strings.Contains(s.out.String(), "[3/5]") || !strings.HasSuffix(s.out.String(), "ninja: build stopped: subcommand failed.\n") {
		t.Errorf("says %s", &s.out)
	}
}

func TestHereOnly(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ command, out, want string }{
		{"c++ -c a.cc", "a.o", ""},
		{"cd sub && /usr/bin/cmake -E touch x", "x", ""},
		{": && /usr/bin/cmake -E rm -f lib.a && /usr/bin/ar qc lib.a a.o && :", "lib.a", ""},
		{"/usr/bin/cmake --regenerate-during-build -S.. -B.", "x", "cmake drives other programs"},
		{"cd sub && /usr/bin/cmake -P install.cmake", "x", "cmake drives other programs"},
		{"A=b ctest --force-new-ctest-process", "x", "ctest drives other programs"},
		{"/usr/bin/cmake -E cmake_autogen x", "x", "cmake drives other programs"},
		{"touch cmake", "x", ""},
		{"cc -c a.c", "../a.o", "its output ../a.o lies outside the build directory"},
		{"cc -c a.c", "/usr/lib/a.o", "its output /usr/lib/a.o lies outside the build directory"},
		{"cc -c a.c", dir + "/a.o", ""},
		{"cc -c a.c", link + "/a.o", ""},
	} {
		root, err := filepath.EvalSymlinks(dir)
		if err != nil {
			t.Fatal(err)
		}
		if got := hereOnly(&Job{Command: tc.command, Outs: []string{tc.out}}, root); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.command, got, tc.want)
		}
	}
}

// What a command made that ran here is told while it has its slot, before ninja
// takes its depfile away, and only if it succeeded.
func TestWhatCommandsMadeHereIsTold(t *testing.T) {
	s, f := newShop(t, `
rule here
  command = echo said; echo "$out: $in" > $out.d; cat $in > $out; true here
  depfile = $out.d
  deps = gcc
rule bad
  command = echo bad; touch $out; true here; false
build a.o: here a.c
build b.o: bad a.o
`), &farm{slots: 4, tells: true}
	s.write("a.c", "a\n")
	if code := s.build(f, nil); code != 1 || f.releasedTooSoon || f.held != 0 {
		t.Fatalf("exit %d: %s%s, %+v", code, &s.out, &s.err, f)
	}
	if len(f.made) != 1 || string(f.made[0].Output) != "said\n" || f.made[0].CPU <= 0 || f.made[0].MaxRSS < 1<<16 || f.made[0].Took <= 0 {
		t.Errorf("told: %+v", f.made)
	}
	if s.finished[0].Action != "an action" || s.finished[0].Here == nil {
		t.Errorf("finished: %+v", s.finished[0])
	}
}
