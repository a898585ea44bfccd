package action_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store/digest"
)

func flat(id action.StepID, more ...func(*action.Step)) action.Step {
	s := action.Step{
		ID: id, Argv: []string{"cc"}, Outputs: []string{"o"}, Inputs: digest.Of(digest.BLAKE3, nil), Timeout: time.Minute,
		Reach: action.Anywhere, Sharing: action.Shared,
	}
	for _, f := range more {
		f(&s)
	}
	return s
}

func TestAGraphIsExtendedByFlatSteps(t *testing.T) {
	g, err := action.NewGraph([]action.Step{flat("a")})
	if err != nil {
		t.Fatal(err)
	}
	longer, err := g.Extend([]action.Step{flat("b"), flat("c", func(s *action.Step) { s.Outputs = []string{"o/x"}; s.Rank = 2.5 })})
	if err != nil {
		t.Fatal(err)
	}
	longest, err := longer.Extend([]action.Step{flat("d")})
	if err != nil {
		t.Fatal(err)
	}
	if g.Len() != 1 || longer.Len() != 3 || longest.Len() != 4 {
		t.Fatalf("they have %d, %d and %d steps", g.Len(), longer.Len(), longest.Len())
	}
	if s, ok := longest.Step("c"); !ok || s.Rank != 2.5 {
		t.Errorf("step c: %+v, %v", s, ok)
	}
	b, err := longest.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	back, err := action.UnmarshalGraph(b)
	if err != nil || !reflect.DeepEqual(back.Steps(), longest.Steps()) {
		t.Errorf("it reads back as %+v, %v", back, err)
	}
	for _, taken := range []action.StepID{"a", "c", "d"} {
		if _, err := longest.Extend([]action.Step{flat(taken)}); !errors.Is(err, action.ErrInvalid) {
			t.Errorf("another step is called %s: %v", taken, err)
		}
	}
}

func TestWhatIsNoFlatStep(t *testing.T) {
	for name, spoil := range map[string]func(*action.Step){
		"Deps":      func(s *action.Step) { s.Deps = []action.Dep{{Step: "x"}} },
		"NoCommand": func(s *action.Step) { s.Argv = nil },
		"NoInputs":  func(s *action.Step) { s.Inputs = digest.Digest{} },
		"NoTimeout": func(s *action.Step) { s.Timeout = 0 },
		"NoUTF8":    func(s *action.Step) { s.Env = []action.Property{{Name: "A", Value: "\xff"}} },
		"LongName":  func(s *action.Step) { s.ID = action.StepID(strings.Repeat("x", 17<<10)) },
		"LongSpec": func(s *action.Step) {
			s.Platform = []action.Property{{Name: "x", Value: strings.Repeat("x", 65<<10)}}
		},
		"TooLarge":     func(s *action.Step) { s.Argv = append(s.Argv, strings.Repeat("x", action.MaxFlatBytes)) },
		"CostTooHigh":  func(s *action.Step) { s.Cost = 2 * action.MaxCost },
		"RankBelow":    func(s *action.Step) { s.Rank = -1 },
		"MemoryTooBig": func(s *action.Step) { s.Memory = 2 * action.MaxHintBytes },
	} {
		s := flat("a", spoil)
		if err := s.CheckFlat(); !errors.Is(err, action.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s := flat("a")
	if err := s.CheckFlat(); err != nil {
		t.Error(err)
	}
}

func TestStepsAreAboutAsLargeAsTheySay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[a-z]{1,40}`)
		s := flat("a")
		s.Argv = rapid.SliceOfN(text, 1, 50).Draw(t, "argv")
		s.Platform = []action.Property{{Name: text.Draw(t, "name"), Value: text.Draw(t, "value")}}
		b, err := action.MarshalSteps([]action.Step{s})
		if err != nil {
			t.Fatal(err)
		}
		if n := s.Size(); len(b) > n || 4*len(b)+1200 < n {
			t.Errorf("%d bytes, said to be %d", len(b), n)
		}
		back, err := action.UnmarshalSteps(b)
		if err != nil || !reflect.DeepEqual(back, []action.Step{s}) {
			t.Errorf("%+v reads back as %+v, %v", s, back, err)
		}
	})
}

func FuzzSteps(f *testing.F) {
	b, err := action.MarshalSteps([]action.Step{flat("a"), flat("b")})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		steps, err := action.UnmarshalSteps(b)
		if err != nil {
			return
		}
		again, err := action.MarshalSteps(steps)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		if got, err := action.UnmarshalSteps(again); err != nil || !reflect.DeepEqual(got, steps) {
			t.Fatalf("%+v reads back as %+v, %v", steps, got, err)
		}
	})
}
