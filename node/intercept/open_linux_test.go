package intercept_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/intercept"
)

func TestAKitIsMadeOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kits")
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if _, err := intercept.Open(t.Context(), dir, os.Environ()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	kits, err := os.ReadDir(dir)
	if err != nil || len(kits) != 1 || strings.HasPrefix(kits[0].Name(), ".") {
		t.Fatalf("%v, %v", kits, err)
	}
	files, err := os.ReadDir(filepath.Join(dir, kits[0].Name()))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, strings.SplitAfter(f.Name(), "-")[0])
	}
	if want := []string{"buildnet-", "buildnet-", "libbuildnet-", "path-"}; !slices.Equal(names, want) {
		t.Errorf("a kit has %q, want %q", names, want)
	}
	// With no compiler to make another with, the one that is there is still good.
	before, err := os.Stat(filepath.Join(dir, kits[0].Name()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := intercept.Open(t.Context(), dir, os.Environ()); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(filepath.Join(dir, kits[0].Name())); err != nil || !os.SameFile(before, after) {
		t.Errorf("a kit was made again: %v", err)
	}
}

// Kits of compilers and versions that are gone are removed when nobody has used them
// for long, and what somebody died over making.
func TestOldKitsAreRemoved(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kits")
	open := func() {
		t.Helper()
		if _, err := intercept.Open(t.Context(), dir, os.Environ()); err != nil {
			t.Fatal(err)
		}
	}
	open()
	kits, err := os.ReadDir(dir)
	if err != nil || len(kits) != 1 {
		t.Fatalf("%v, %v", kits, err)
	}
	hex := strings.Repeat("ab", 16)
	want := []string{kits[0].Name()}
	for name, c := range map[string]struct {
		days  int
		stays bool
	}{hex: {31, false}, hex[1:] + "c": {29, true}, ".new-1": {1, false}, ".new-2": {0, true}, "mine": {99, true}, kits[0].Name(): {99, true}} {
		if err := os.MkdirAll(filepath.Join(dir, name, "in"), 0o700); err != nil {
			t.Fatal(err)
		}
		then := time.Now().AddDate(0, 0, -c.days)
		if err := os.Chtimes(filepath.Join(dir, name), then, then); err != nil {
			t.Fatal(err)
		}
		if c.stays && name != want[0] {
			want = append(want, name)
		}
	}
	open()
	kits, err = os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, k := range kits {
		got = append(got, k.Name())
	}
	if slices.Sort(want); !slices.Equal(got, want) {
		t.Errorf("left: %q, want %q", got, want)
	}
}

func TestAKitThatOthersCouldWriteIsRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kits")
	if _, err := intercept.Open(t.Context(), dir, os.Environ()); err != nil {
		t.Fatal(err)
	}
	kits, err := os.ReadDir(dir)
	if err != nil || len(kits) != 1 {
		t.Fatalf("%v, %v", kits, err)
	}
	kit := filepath.Join(dir, kits[0].Name())
	for _, name := range []string{dir, kit, filepath.Join(kit, "buildnet-exec"), filepath.Join(kit, "libbuildnet-exec.so"), filepath.Join(kit, "buildnet-launch")} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(name, info.Mode()|0o020); err != nil {
			t.Fatal(err)
		}
		if _, err := intercept.Open(t.Context(), dir, os.Environ()); err == nil || !strings.Contains(err.Error(), "may be written by others") {
			t.Errorf("%s: %v", name, err)
		}
		if err := os.Chmod(name, info.Mode()); err != nil {
			t.Fatal(err)
		}
		if os.Geteuid() == 0 {
			if err := os.Chown(name, 4321, -1); err != nil {
				t.Fatal(err)
			}
			if _, err := intercept.Open(t.Context(), dir, os.Environ()); err == nil || !strings.Contains(err.Error(), "another user") {
				t.Errorf("%s: %v", name, err)
			}
			if err := os.Chown(name, 0, -1); err != nil {
				t.Fatal(err)
			}
		}
	}
	shim := filepath.Join(kit, "buildnet-exec")
	if err := errors.Join(os.Rename(shim, shim+".old"), os.Symlink(shim+".old", shim)); err != nil {
		t.Fatal(err)
	}
	if _, err := intercept.Open(t.Context(), dir, os.Environ()); err == nil || !strings.Contains(err.Error(), "no plain file") {
		t.Errorf("a link: %v", err)
	}
}

func TestWhatAKitCannotBeMadeWith(t *testing.T) {
	bin := t.TempDir()
	env := []string{"PATH=" + bin}
	if _, err := intercept.Open(t.Context(), filepath.Join(t.TempDir(), "kits"), env); !errors.Is(err, intercept.ErrNoCompiler) {
		t.Errorf("no compiler: %v", err)
	}
	write(t, bin, map[string]string{"cc*": "#!/bin/sh\necho it is broken >&2\nexit 1\n"})
	dir := filepath.Join(t.TempDir(), "kits")
	if _, err := intercept.Open(t.Context(), dir, env); err == nil || !strings.Contains(err.Error(), "it is broken") {
		t.Errorf("a broken compiler: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("it left %v, %v", left, err)
	}
	if _, err := intercept.Open(t.Context(), filepath.Join(t.TempDir(), "a b"), os.Environ()); err == nil || !strings.Contains(err.Error(), "--home") {
		t.Errorf("a path that no loader takes: %v", err)
	}
}

func TestListsWithoutAnItem(t *testing.T) {
	for _, c := range [][3]string{
		{"a:b", "a", "b"}, {"b:a", "a", "b"}, {"a", "a", ""}, {"", "a", ""}, {"b", "a", "b"}, {"a:", "a", ""}, {"a::b", "a", ":b"}, {"x:a:y", "a", "x:y"}, {"a:a:b:a", "a", "b"}, {"::", "a", "::"}, {"aa:a a", "a", "aa:a a"},
	} {
		if got := intercept.Without(c[0], ":", c[1]); got != c[2] {
			t.Errorf("%q without %q is %q, want %q", c[0], c[1], got, c[2])
		}
	}
	env := []string{"PATH=/x:/y", "A=1", "LD_PRELOAD=own.so"}
	k := theKit(t)
	in := k.Environ(env, intercept.Invocation{Socket: "s", ID: "i", Faults: "f"})
	again := k.Environ(in, intercept.Invocation{Socket: "s", ID: "i", Faults: "f"})
	slices.Sort(in)
	slices.Sort(again)
	out := intercept.Clean(again)
	slices.Sort(out)
	slices.Sort(env)
	if !slices.Equal(in, again) || !slices.Equal(out, env) {
		t.Errorf("%q and again %q; cleaned %q", in, again, out)
	}
}
