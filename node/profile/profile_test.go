package profile_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/buildnet/buildnet/node/config/strict"
	"github.com/buildnet/buildnet/node/profile"
	"github.com/buildnet/buildnet/sched/place"
)

const schemaFile = "../../docs/profile.schema.json"

var update = flag.Bool("update", false, "write the published schema anew")

func TestThePublishedSchemaIsThatOfTheCode(t *testing.T) {
	want, err := profile.Schema()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(schemaFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(schemaFile); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is out of date (%v): run go test ./node/profile -run Schema -update", schemaFile, err)
	}
}

func TestWordsAreThoseOfTheirTypes(t *testing.T) {
	src, err := profile.Schema()
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Properties map[string]struct {
			Enum    []string
			Default string
		}
	}
	if err := json.Unmarshal(src, &schema); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string][]string{
		"distribution":       place.Strategies(),
		"partition":          place.Partitions(),
		"cpu_strategy":       {string(profile.AllCores), string(profile.LocalOnly), string(profile.EfficiencyCores)},
		"storage_preference": {string(profile.StoreFastest), string(profile.StoreLocal), string(profile.StoreCheapest)},
		"network_preference": {string(profile.LowestLatency), string(profile.MinimizeTransfer), string(profile.BatchTransfers)},
		"cache_policy":       {string(profile.Aggressive), string(profile.AggressiveLocal), string(profile.Minimal)},
	} {
		if got := schema.Properties[key]; !slices.Equal(got.Enum, want) || got.Default != want[0] {
			t.Errorf("%s: %v, %q by default, want %v", key, got.Enum, got.Default, want)
		}
	}
}

const night = `
version: 1
name: night
description: While nobody looks
distribution: smart
weights: {performance: 1, locality: 3}
partition: package
cpu_strategy: efficiency_cores
storage_preference: cheapest
network_preference: batch_transfers
cache_policy: minimal
`

func parsed(t *testing.T, src string) profile.Profile {
	t.Helper()
	p, err := profile.Parse("x.yaml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestParse(t *testing.T) {
	got := parsed(t, night)
	want := profile.Profile{
		Version: 1, Name: "night", Description: "While nobody looks", Weights: &profile.Weights{Performance: 1, Locality: 3},
		Partition: place.ByPackage, CPU: profile.EfficiencyCores, Storage: profile.StoreCheapest, Network: profile.BatchTransfers, Cache: profile.Minimal,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	policy := place.Policy{Weights: place.Weights{Performance: 1, Locality: 3}, Partition: place.ByPackage}
	if got.Policy() != policy || policy.Validate() != nil {
		t.Errorf("policy %+v", got.Policy())
	}
	if p := parsed(t, "version: 1\nname: plain\n"); len(p.Changes()) > 0 || p.Policy() != (place.Policy{}) {
		t.Errorf("what says nothing changes %v", p.Changes())
	}
	if n := len(got.Changes()); n != 6 {
		t.Errorf("changes: %v", got.Changes())
	}
}

func TestAProfileIsReadBackFromItsText(t *testing.T) {
	for _, src := range []string{night, "version: 1\nname: plain\n", "version: 1\nname: near\ndistribution: locality\ndescription: \"<a> & 'b' ü: \\\"#\\\"\"\n"} {
		p := parsed(t, src)
		text, err := p.Text()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p, parsed(t, string(text))); diff != "" {
			t.Error(diff)
		}
	}
}

func TestFaults(t *testing.T) {
	for src, want := range map[string]string{
		"":                               "the file is empty",
		"name: x\n":                      "version is missing",
		"version: 1\n":                   "name is missing",
		"version: 2\nname: x\n":          "write at most 1",
		"version: 1\nname: X y\n":        `"X y" is no name`,
		"version: 1\nname: ../x\n":       "is no name",
		"version: 1\nname: x\nspeed: 1":  `unknown key "speed"`,
		"version: 1\nname: x\npartition": "not YAML",
		"version: 1\nname: x\ndistribution: fastst\n":                            "did you mean fastest?",
		"version: 1\nname: x\ndistribution: fastest\nweights: {latency: 1}\n":    "distribution fastest looks at none",
		"version: 1\nname: x\nweights: {latency: 0}\n":                           "no part counts",
		"version: 1\nname: x\nweights: {latency: -1}\n":                          "write at least 0",
		"version: 1\nname: x\nweights: {speed: 1}\n":                             `unknown key "speed"`,
		"version: 1\nname: x\ncpu_strategy: gpu\n":                               `"gpu" is not known`,
		"version: 1\nname: x\ncache_policy: 3\n":                                 "is not known",
		"version: 1\nname: x\nstorage_preference:\n":                             "the key has no value",
		"version: 1\nname: x\ndescription: \"" + strings.Repeat("x", 300) + "\"": "at most 200 bytes",
		"version: 1\nname: x\n#" + strings.Repeat("x", profile.MaxBytes):         "the limit is",
	} {
		_, err := profile.Parse("x.yaml", []byte(src))
		if faults := (*strict.Faults)(nil); !errors.As(err, &faults) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want %q", src, err, want)
		}
	}
}

func TestBuiltins(t *testing.T) {
	if want := []string{"standard", "bandwidth_saver", "cost_optimized", "speed"}; !slices.Equal(profile.Builtins(), want) {
		t.Errorf("built in: %v", profile.Builtins())
	}
	for _, name := range profile.Builtins() {
		p, err := profile.Builtin(name)
		if err != nil || p.Name != name || p.Description == "" {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
		if name != profile.StandardName && len(p.Changes()) == 0 {
			t.Errorf("%s changes nothing", name)
		}
	}
	if p := profile.Standard(); p.Policy() != (place.Policy{}) || len(p.Changes()) > 0 {
		t.Errorf("standard: %+v", p)
	}
}

// own is a source that has the profile night.
func own(name string) ([]byte, error) {
	if name != "night" {
		return nil, profile.ErrUnknown
	}
	return []byte(night), nil
}

func find(name string) (profile.Profile, error) { return profile.Find(name, own) }

func TestTheNearestWishHolds(t *testing.T) {
	mesh := parsed(t, "version: 1\nname: ours\npartition: file\n")
	fastest, byFile := place.Fastest, place.ByFile
	for name, c := range map[string]struct {
		wishes profile.Wishes
		want   string
		from   profile.From
		policy place.Policy
	}{
		"nobody":          {profile.Wishes{}, "standard", profile.FromStandard, place.Policy{}},
		"mesh":            {profile.Wishes{Mesh: &mesh}, "ours", profile.FromMesh, place.Policy{Partition: place.ByFile}},
		"node over mesh":  {profile.Wishes{Mesh: &mesh, Node: "standard"}, "standard", profile.FromNode, place.Policy{}},
		"project over it": {profile.Wishes{Mesh: &mesh, Node: "standard", Project: "night"}, "night", profile.FromProject, parsed(t, night).Policy()},
		"flag over all":   {profile.Wishes{Mesh: &mesh, Node: "standard", Project: "night", Flag: "bandwidth_saver"}, "bandwidth_saver", profile.FromFlag, place.Policy{Strategy: place.Locality, Partition: place.ByPackage}},
		"strategy":        {profile.Wishes{Project: "night", Strategy: &fastest}, "night", profile.FromProject, place.Policy{Strategy: place.Fastest, Partition: place.ByPackage}},
		"partition":       {profile.Wishes{Mesh: &mesh, Flag: "speed", Partition: &byFile}, "speed", profile.FromFlag, place.Policy{Strategy: place.Fastest, Partition: place.ByFile}},
	} {
		got, err := profile.Choose(c.wishes, find)
		if err != nil || got.Name != c.want || got.From != c.from || got.Policy() != c.policy {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestAProfileThatIsNotThere(t *testing.T) {
	for name, want := range map[string]string{"sped": "did you mean speed?", "other": "buildnet profile list", "../night": "cannot be a profile's name"} {
		if _, err := profile.Choose(profile.Wishes{Project: name}, find); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "profile of the project") {
			t.Errorf("%s: %v", name, err)
		}
	}
	misnamed := func(string) ([]byte, error) { return []byte(night), nil }
	if _, err := profile.Find("day", misnamed); err == nil || !strings.Contains(err.Error(), `is called "night"`) {
		t.Errorf("a file of another name: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(night))
	f.Add([]byte(`{"version":1,"name":"x","distribution":"locality"}`))
	f.Fuzz(func(t *testing.T, src []byte) {
		p, err := profile.Parse("x.yaml", src)
		if err != nil {
			return
		}
		text, err := p.Text()
		if err != nil {
			t.Fatal(err)
		}
		again, err := profile.Parse("x.yaml", text)
		if err != nil || !cmp.Equal(p, again) {
			t.Fatalf("%q is read back as %+v, %v", text, again, err)
		}
		if err := p.Policy().Validate(); err != nil {
			t.Fatal(err)
		}
	})
}
