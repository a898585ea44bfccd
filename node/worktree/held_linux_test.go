package worktree_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/buildnet/buildnet/sched/action"
)

// What was written just before a moment may have been written again after it.
func TestWhatWasTheSameAllTheWhile(t *testing.T) {
	m := newMachine(t)
	a, b := m.write(t, "a", "a\n"), m.write(t, "b", "b\n")
	files := m.ingest(t, a, b)
	timer := time.NewTimer(m.Settling(files))
	<-timer.C
	since := time.Now()
	if got := m.Held(t.Context(), files, since); got != "" {
		t.Errorf("nothing has changed: %s", got)
	}
	if left := m.Settling(files); left > 0 {
		t.Errorf("%v are left", left)
	}
	for name, change := range map[string]func(p string) error{
		"Content":     func(p string) error { return os.WriteFile(p, []byte("c\n"), 0o600) },
		"SameContent": func(p string) error { return os.WriteFile(p, []byte("b\n"), 0o600) },
		"Permission":  func(p string) error { return os.Chmod(p, 0o700) },
		"Gone":        os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			files := m.ingest(t, a, m.write(t, "b", "b\n"))
			timer := time.NewTimer(m.Settling(files))
			<-timer.C
			since := time.Now()
			if err := change(b); err != nil {
				t.Fatal(err)
			}
			if got := m.Held(t.Context(), files, since); got != b {
				t.Errorf("%q may have been another", got)
			}
			if name == "SameContent" { // another has read it meanwhile
				m.ingest(t, b)
				if got := m.Held(t.Context(), files, since); got != b {
					t.Errorf("%q may have been another", got)
				}
			}
		})
	}
	fresh := filepath.Join(m.dir, "fresh")
	if err := os.WriteFile(fresh, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	files = m.ingest(t, fresh)
	if left := m.Settling(files); left <= 0 {
		t.Error("a file of a moment ago has settled")
	}
	if got := m.Held(t.Context(), files, time.Now()); got != fresh {
		t.Errorf("%q may have been another", got)
	}
	other := []action.Output{{Path: "nowhere", Kind: action.File}}
	if m.Held(t.Context(), other, time.Now()) == "" || m.Settling(other) <= 0 {
		t.Error("a file that nobody has read is known")
	}
}
