package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/node/ninja"
)

// TestBuildOfAManifest covers when `buildnet build` takes a directory for one of
// ninja's, what it passes on, and which flags do not go together.
func TestBuildOfAManifest(t *testing.T) {
	ninjas, both, ours := t.TempDir(), t.TempDir(), t.TempDir()
	for _, file := range []string{ninjas + "/build.ninja", both + "/build.ninja", both + "/.buildnet/config.yaml", ours + "/.buildnet/config.yaml"} {
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	of := func(set func(*ninja.Options)) *ninja.Options {
		o := ninja.Defaults()
		o.StatusFormat = "<%f> "
		o.Targets = []string{}
		set(&o)
		return &o
	}
	for _, tc := range []struct {
		name   string
		args   []string
		code   int // what ninja's part returns
		want   *ninja.Options
		status int
		says   string
	}{
		{name: "Manifest", args: []string{"-C", ninjas}, want: of(func(o *ninja.Options) { o.Dir = ninjas })},
		{name: "Flags", args: []string{"-C", ninjas, "out", "-k0", "-nv", "-j3"}, want: of(func(o *ninja.Options) {
			o.Dir, o.DryRun, o.Verbosity, o.Jobs, o.Targets = ninjas, true, ninja.Verbose, 3, []string{"out"}
			o.KeepGoing = int(^uint(0) >> 1)
		})},
		{name: "Quiet", args: []string{"-C", ninjas, "--quiet"}, want: of(func(o *ninja.Options) { o.Dir, o.Verbosity = ninjas, ninja.NoStatus })},
		{name: "Tool", args: []string{"-C", ninjas, "-t", "clean", "--", "-g"}, want: of(func(o *ninja.Options) {
			o.Dir, o.Tool, o.Targets = ninjas, "clean", []string{"-g"}
		})},
		{name: "ToolList", args: []string{"-C", ninjas, "-t", "list"}, says: "ninja subtools:"},
		{name: "UnknownTool", args: []string{"-C", ninjas, "-t", "claen"}, status: exitUsage, says: "did you mean 'clean'?"},
		{name: "Jobs", args: []string{"-C", ninjas, "-j", "-1"}, status: exitUsage, says: "invalid -j parameter"},
		{name: "Failed", args: []string{"-C", ninjas}, code: 1, want: of(func(o *ninja.Options) { o.Dir = ninjas }), status: exitFailed},
		{name: "Interrupted", args: []string{"-C", ninjas}, code: 2, want: of(func(o *ninja.Options) { o.Dir = ninjas }), status: exitInterrupted},
		{name: "NamedBesideAProject", args: []string{"-C", both, "-f", "build.ninja"}, want: of(func(o *ninja.Options) { o.Dir = both })},
		{name: "NamedByAnotherName", args: []string{"-C", ours, "-f", "other.ninja"}, want: of(func(o *ninja.Options) { o.Dir, o.File = ours, "other.ninja" })},
		{name: "FlagOfAProject", args: []string{"-C", ninjas, "--force"}, status: exitUsage, says: "--force is not for a build.ninja"},
		{name: "FlagOfNinja", args: []string{"-C", ours, "-n"}, status: exitUsage, says: "--dry-run is for a build.ninja"},
		{name: "FlagOfNinjaBesideAProject", args: []string{"-C", both, "-k", "2"}, status: exitUsage, says: "--failures is for a build.ninja"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got *ninja.Options
			var out bytes.Buffer
			status := Run(context.Background(), append([]string{"build"}, tc.args...), System{
				Stdout: &out, Stderr: &out, Environ: []string{"NINJA_STATUS=<%f> "},
				Manifest: func(_ context.Context, o ninja.Options, _ ninja.Sharing) int { got = &o; return tc.code },
			})
			if status != tc.status || !strings.Contains(out.String(), tc.says) {
				t.Errorf("status %d, want %d; says %q, want %q", status, tc.status, out.String(), tc.says)
			}
			if !reflect.DeepEqual(got, tc.want) {
				t.Errorf("builds %+v\nwant   %+v", got, tc.want)
			}
		})
	}
}
