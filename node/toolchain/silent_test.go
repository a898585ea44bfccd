package toolchain

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// dead are files of which some do not answer.
type dead struct {
	names  map[string][]string // in directories
	silent map[string]chan struct{}
	slow   map[string]time.Duration
}

func (d *dead) Stat(p string) error {
	if wait := d.silent[p]; wait != nil {
		<-wait
	}
	if d.names[p] == nil && d.slow[p] == 0 && d.silent[p] == nil {
		return errors.New("not there")
	}
	time.Sleep(d.slow[p])
	return nil
}

func (d *dead) List(dir string) []string { return d.names[dir] }

func TestWhatDoesNotAnswerIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back := make(chan struct{})
		d := &dead{
			names:  map[string][]string{"/bin": {"cc", "nas", "zip"}, "/slow": {"a", "b", "c"}, "/usr/bin": {"ld"}},
			silent: map[string]chan struct{}{"/bin/nas": back, "/mnt": back},
			slow:   map[string]time.Duration{"/slow/a": time.Second, "/slow/b": 2 * time.Second, "/slow/c": 3 * time.Second},
		}
		places := []string{"/bin", "/mnt", "/none", "/slow", "/usr/bin"}
		if got := silent(t.Context(), places, d); !slices.Equal(got, []string{"/bin/nas", "/mnt"}) {
			t.Errorf("silent are %v", got)
		}
		close(back)
		time.Sleep(time.Minute)
		if got := silent(t.Context(), []string{"/bin", "/mnt", "/usr/bin"}, d); len(got) != 0 {
			t.Errorf("silent are %v when all answer", got)
		}
		ctx, stop := context.WithCancel(t.Context())
		stop()
		began := time.Now()
		if got := silent(ctx, places, d); len(got) != 0 || time.Since(began) > 0 {
			t.Errorf("nobody waits, and it takes %v: %v", time.Since(began), got)
		}
		time.Sleep(time.Minute)
	})
}

func TestPlacesAreThoseOfPrograms(t *testing.T) {
	p := New(Options{Path: "/x/bin:/y", Dirs: []string{"/sdk"}})
	got := p.places()
	for _, want := range []string{"/x/bin", "/y", "/sdk"} {
		if !slices.Contains(got, want) {
			t.Errorf("no %s among %v", want, got)
		}
	}
	if slices.Contains(got, "/proc") {
		t.Errorf("places are %v", got)
	}
}
