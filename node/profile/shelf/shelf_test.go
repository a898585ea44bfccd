package shelf_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/buildnet/buildnet/node/profile"
	"github.com/buildnet/buildnet/node/profile/shelf"
)

func TestWhatIsPutThereIsFound(t *testing.T) {
	home := t.TempDir()
	s := shelf.New(home)
	if names, err := s.Names(); err != nil || len(names) > 0 {
		t.Errorf("an empty shelf: %v, %v", names, err)
	}
	if _, err := s.Source("night"); !errors.Is(err, profile.ErrUnknown) {
		t.Errorf("what is not there: %v", err)
	}
	for _, src := range []string{"version: 1\nname: night\n", "version: 1\nname: day\n", "version: 1\nname: night\npartition: file\n"} {
		p, err := profile.Parse("x.yaml", []byte(src))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Save(p, []byte(src)); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Source(p.Name); err != nil || string(got) != src {
			t.Errorf("%s: %q, %v", p.Name, got, err)
		}
	}
	if err := os.WriteFile(filepath.Join(home, "profiles", "No profile.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if names, err := s.Names(); err != nil || !slices.Equal(names, []string{"day", "night"}) {
		t.Errorf("names: %v, %v", names, err)
	}
}

func TestUse(t *testing.T) {
	s := shelf.New(t.TempDir())
	for _, name := range []string{"", "speed", "night", ""} {
		if err := s.Use(name); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Used(); err != nil || got != name {
			t.Errorf("used is %q, %v, want %q", got, err, name)
		}
	}
}
