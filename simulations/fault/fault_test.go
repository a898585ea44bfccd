package fault

import (
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParse(t *testing.T) {
	node := func(n int) Target { return Target{Node: n} }
	for line, want := range map[string]Fault{
		"kill leader@50%":                        {Kind: Kill, Target: Target{Role: Leader}, Share: 0.5},
		"kill leader of build 2 @50%":            {Kind: Kill, Target: Target{Role: Leader, Build: 2}, Share: 0.5, Build: 2},
		"kill leader of build 2 @50% of build 1": {Kind: Kill, Target: Target{Role: Leader, Build: 2}, Share: 0.5, Build: 1},
		"kill node 3 at 2s for 5s":               {Kind: Kill, Target: node(3), At: 2 * time.Second, For: 5 * time.Second},
		"restart node 3 at 2s":                   {Kind: Restart, Target: node(3), At: 2 * time.Second},
		"split 1 2 at 3s for 4s one-way":         {Kind: Split, Group: []int{1, 2}, At: 3 * time.Second, For: 4 * time.Second, OneWay: true},
		"split 2 1 2 deaf at 3s":                 {Kind: Split, Group: []int{1, 2}, At: 3 * time.Second, Deaf: true},
		"split leader at 3s":                     {Kind: Split, Target: Target{Role: Leader}, At: 3 * time.Second},
		"slow worker by 10 at 1s":                {Kind: Slow, Target: Target{Role: Worker}, At: time.Second, Factor: 0.1},
		"clog node 2 to 1% at 1s for 10s":        {Kind: Clog, Target: node(2), At: time.Second, For: 10 * time.Second, Factor: 0.01},
		"lose-blobs holder@30%":                  {Kind: LoseBlobs, Target: Target{Role: Holder}, Share: 0.3},
		"stall leader at 2s for 3s":              {Kind: Stall, Target: Target{Role: Leader}, At: 2 * time.Second, For: 3 * time.Second},
		"fail-disk node 1 to 20% at 0s":          {Kind: FailDisk, Target: node(1), Factor: 0.2},
		"leave node 4 at 3s":                     {Kind: Leave, Target: node(4), At: 3 * time.Second},
		"break second-standby at 300ms":          {Kind: Break, Target: Target{Role: SecondStandby}, At: 300 * time.Millisecond},
		"cancel build 0 at 2s":                   {Kind: Cancel, Target: Target{Role: Initiator}, At: 2 * time.Second},
		"cancel build 1 @50%":                    {Kind: Cancel, Target: Target{Role: Initiator, Build: 1}, Share: 0.5, Build: 1},
		"heal at 9s":                             {Kind: Heal, At: 9 * time.Second},
		"  kill   initiator ":                    {Kind: Kill, Target: Target{Role: Initiator}},
	} {
		got, err := Parse(line)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v", line, got, err)
		}
		if again, err := Parse(got.String()); err != nil || !reflect.DeepEqual(again, want) {
			t.Errorf("%q, written as %q: %+v, %v", line, got.String(), again, err)
		}
	}
}

func TestErrorsSayWhatToWrite(t *testing.T) {
	for line, want := range map[string]string{
		"":                        "write one of kill, restart",
		"murder leader":           "write one of kill, restart",
		"kill":                    "write one of node N, leader",
		"kill 3":                  `write "node 3"`,
		"kill boss":               "write one of node N, leader",
		"kill node x":             "is not the number of a node",
		"kill node 99999999":      "is not the number of a node",
		"kill leader of all":      `after "of" comes "build"`,
		"kill leader at noon":     "write it like 1.5s",
		"kill leader at -1s":      "write it like 1.5s",
		"kill leader @150%":       "more than 0% and at most 100%",
		"kill leader @NaN":        "more than 0% and at most 100%",
		"kill leader @50% at 2s":  "leave out one",
		"kill leader at 1s at 2s": `says "at" twice`,
		"kill leader softly":      "what may follow is",
		"kill leader to 5%":       `takes no "to"`,
		"kill leader one-way":     "only a split has sides",
		"leave node 1 for 3s":     `takes no "for"`,
		"stall leader at 1s":      `needs "for"`,
		"slow worker at 1s":       `needs "to"`,
		"slow worker to 100%":     `needs "to"`,
		"slow worker by 0.5":      "a number above 1",
		"slow worker to 10% by 2": `both "to" and "by"`,
		"split 1 2 one-way deaf":  "leave both out",
		"cancel leader":           `write "cancel build"`,
		"cancel build":            "not the number of a build",
		"heal leader":             "what may follow is",
	} {
		_, err := Parse(line)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", line, err)
		}
	}
}

func TestEveryDrawnFaultReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		s := Scope{Nodes: rapid.IntRange(1, 12).Draw(t, "nodes"), Initiators: []int{0}, Until: 10 * time.Second}
		if s.Nodes > 3 {
			s.Initiators = []int{0, 2}
		}
		for _, f := range Draw(rng, s) {
			got, err := Parse(f.String())
			if err != nil || !reflect.DeepEqual(got, f) {
				t.Fatalf("%+v, written as %q: %+v, %v", f, f.String(), got, err)
			}
		}
	})
}

func TestEveryKindIsDrawnAndInitiatorsAreMostlySpared(t *testing.T) {
	drawn := map[Kind]int{}
	struck, all := 0, 0
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 0))
		for _, f := range Draw(rng, Scope{Nodes: 6, Initiators: []int{0}, Until: 10 * time.Second}) {
			drawn[f.Kind]++
			all++
			if f.Target.Role == Initiator {
				struck++
			}
		}
	}
	for k := Kill; k < Heal; k++ {
		if k != Restart && drawn[k] == 0 {
			t.Errorf("%v is never drawn", k)
		}
	}
	if struck == 0 || struck*10 > all {
		t.Errorf("%d of %d strike an initiator", struck, all)
	}
}

func FuzzParse(f *testing.F) {
	for _, line := range []string{"kill leader@50%", "split 1 2 at 3s for 4s one-way", "slow worker by 10 at 1s", "clog node 2 to 0.7% at 1h", "cancel build 1 @3% of build 2"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		got, err := Parse(line)
		if err != nil {
			return
		}
		if err := got.Validate(); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		again, err := Parse(got.String())
		if err != nil || !reflect.DeepEqual(again, got) {
			t.Fatalf("%q is %+v, written as %q: %+v, %v", line, got, got.String(), again, err)
		}
	})
}
