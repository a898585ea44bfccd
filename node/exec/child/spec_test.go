package child

import (
	"slices"
	"testing"
)

func TestSpecReadsBackAsItWasWritten(t *testing.T) {
	want := Spec{
		Mode: RootSandbox, Argv: []string{"cc", "", "-c"}, Env: []string{"A=1"}, Scratch: "/s", Dir: "p/q", Binds: []string{"/usr", "/lib"},
		Needed: []string{"/opt"}, Hidden: []string{"/h"}, HostUID: -1, Network: Host, MemoryBytes: 1 << 40, FileBytes: 7, Nice: 10,
		Absolute: true, Mounts: []Mount{{Kind: Place, From: "/s/work/home", To: "/home", Writable: true}, {Kind: Link, From: "../x", To: "/y"}},
	}
	b := want.Encode()
	if length(b) != len(b)-4 {
		t.Fatalf("length %d of %d bytes", length(b), len(b))
	}
	got, err := decode(b[4:])
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Argv, want.Argv) || !slices.Equal(got.Env, want.Env) || !slices.Equal(got.Binds, want.Binds) ||
		!slices.Equal(got.Needed, want.Needed) || !slices.Equal(got.Hidden, want.Hidden) || !slices.Equal(got.Mounts, want.Mounts) {
		t.Errorf("lists: %+v", got)
	}
	if got.Mode != want.Mode || got.HostUID != -1 || got.Network != want.Network || got.MemoryBytes != want.MemoryBytes ||
		got.FileBytes != want.FileBytes || got.Nice != want.Nice || got.Absolute != want.Absolute || got.Scratch != want.Scratch || got.Dir != want.Dir {
		t.Errorf("fields: %+v", got)
	}
}

func FuzzDecode(f *testing.F) {
	s := Spec{Mode: Plain, Argv: []string{"true"}}
	f.Add(s.Encode()[4:])
	s.Mounts = []Mount{{Kind: Layer, From: "/a", To: "/b"}}
	f.Add(s.Encode()[4:])
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _ = decode(b) // it must return
	})
}
