package place

import (
	"math"
	"slices"
	"testing"
)

func TestPolicyTexts(t *testing.T) {
	for i, text := range Strategies() {
		s, err := ParseStrategy(text)
		if err != nil || s != Strategy(i) || s.String() != text {
			t.Errorf("ParseStrategy(%q) = %v, %v", text, s, err)
		}
	}
	for i, text := range Partitions() {
		p, err := ParsePartition(text)
		if err != nil || p != Partition(i) || p.String() != text {
			t.Errorf("ParsePartition(%q) = %v, %v", text, p, err)
		}
	}
	if s, err := ParseStrategy(""); s != Smart || err != nil {
		t.Errorf("no strategy: %v, %v", s, err)
	}
	if p, err := ParsePartition(""); p != Hybrid || err != nil {
		t.Errorf("no partition: %v, %v", p, err)
	}
	if _, err := ParseStrategy("clever"); err == nil {
		t.Error("clever is a strategy")
	}
	if got := Strategy(99).String(); got != "unknown" {
		t.Errorf("strategy 99 is %q", got)
	}
}

func TestPolicyValidate(t *testing.T) {
	for name, c := range map[string]struct {
		p  Policy
		ok bool
	}{
		"the standard one":  {Policy{}, true},
		"all of it":         {Policy{Locality, Weights{1, 2, 3, 4}, ByFile}, true},
		"no such strategy":  {Policy{Strategy: 5}, false},
		"no such partition": {Policy{Partition: 3}, false},
		"less than nothing": {Policy{Weights: Weights{Latency: -1}}, false},
		"no number":         {Policy{Weights: Weights{Locality: math.NaN()}}, false},
		"without end":       {Policy{Weights: Weights{Performance: math.Inf(1)}}, false},
	} {
		if err := c.p.Validate(); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNormalWeightsAddUpToOne(t *testing.T) {
	if got := (Weights{}).Normal(); got != StandardWeights() {
		t.Errorf("none: %v", got)
	}
	if got, want := (Weights{2, 1, 1, 0}).Normal(), (Weights{0.5, 0.25, 0.25, 0}); got != want {
		t.Errorf("%v, want %v", got, want)
	}
	for _, w := range []Weights{{1e6, 1e6, 1e6, 1e6}, {0, 0, 0, 1e-300}, StandardWeights()} {
		sum := 0.0
		for _, x := range w.Normal().list() {
			sum += x
		}
		if math.Abs(sum-1) > 1e-9 {
			t.Errorf("%v adds up to %v", w, sum)
		}
	}
}

func FuzzParseStrategy(f *testing.F) {
	for _, s := range slices.Concat(Strategies(), Partitions()) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseStrategy(text)
		if err == nil && text != "" && s.String() != text {
			t.Errorf("ParseStrategy(%q) = %v", text, s)
		}
		p, err := ParsePartition(text)
		if err == nil && text != "" && p.String() != text {
			t.Errorf("ParsePartition(%q) = %v", text, p)
		}
	})
}
