package platform_test

import (
	"errors"
	"strings"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/buildnet/buildnet/node/reapi/platform"
	"github.com/buildnet/buildnet/sched/action"
)

var machine = platform.Machine{OS: "linux", Arch: "amd64"}

func of(pairs ...string) *repb.Platform {
	p := &repb.Platform{}
	for i := 0; i < len(pairs); i += 2 {
		p.Properties = append(p.Properties, &repb.Platform_Property{Name: pairs[i], Value: pairs[i+1]})
	}
	return p
}

func native(more ...string) []action.Property {
	all := []action.Property{{Name: "Arch", Value: "amd64"}, {Name: "OSFamily", Value: "linux"}}
	for i := 0; i < len(more); i += 2 {
		all = append(all, action.Property{Name: more[i], Value: more[i+1]})
	}
	return all
}

// REAPI v2, Platform, and its lexicon.
func TestPropertiesOfClients(t *testing.T) {
	for name, c := range map[string]struct {
		said *repb.Platform
		want platform.Wishes
	}{
		"none":      {nil, platform.Wishes{Native: native()}},
		"usual":     {of("OSFamily", "Linux", "ISA", "x86-64", "container-image", "docker://x"), platform.Wishes{Native: native(), Image: "docker://x"}},
		"go's":      {of("OSFamily", "linux", "Arch", "amd64", "Pool", "default"), platform.Wishes{Native: native()}},
		"inputs":    {of("toolchain", "inputs"), platform.Wishes{Native: native(), Inputs: true}},
		"network":   {of("dockerNetwork", "standard"), platform.Wishes{Native: native("network", "true")}},
		"no net":    {of("dockerNetwork", "off", "container-image", "none"), platform.Wishes{Native: native()}},
		"own cache": {of("cache-silo-key", "mine"), platform.Wishes{Native: native("cache-silo-key", "mine")}},
		"memory":    {of("memory-bytes", "4096"), platform.Wishes{Native: native("memory-bytes", "4096")}},
	} {
		got, err := platform.Read(machine, c.said)
		if err != nil || len(cmp.Diff(sorted(c.want), sorted(got))) > 0 {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, c.want)
		}
	}
}

func sorted(w platform.Wishes) map[string]string {
	m := map[string]string{"image": w.Image}
	if w.Inputs {
		m["inputs"] = "true"
	}
	for _, p := range w.Native {
		m["native "+p.Name] = p.Value
	}
	return m
}

func TestWhatTheMeshLacksIsNamed(t *testing.T) {
	for _, pair := range [][]string{
		{"OSFamily", "Windows", "linux"}, {"ISA", "arm-a64", "amd64"}, {"Pool", "gpu", "default"}, {"gpu", "2", "OSFamily"},
		{"sandbox", "none", "OSFamily"}, {"toolchain", "gcc-9", "inputs"}, {"memory-bytes", "lots", "bytes"}, {"network", "fast", "standard"},
	} {
		_, err := platform.Read(machine, of(pair[0], pair[1]))
		var refused *platform.Refused
		if !errors.As(err, &refused) || refused.Name != pair[0] || !strings.Contains(err.Error(), pair[1]) || !strings.Contains(refused.Has, pair[2]) {
			t.Errorf("%v: %v", pair, err)
		}
	}
	if _, err := platform.Read(machine, of("cache-silo-key", "a", "cache-silo-key", "b")); err == nil {
		t.Error("two values of one property were taken")
	}
}
