package build

import (
	"runtime"
	"testing"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/node/profile"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store/digest"
)

func TestStepsThatReadMuchStay(t *testing.T) {
	here := []action.Property{{Name: action.PropertyArch, Value: runtime.GOARCH}, {Name: action.PropertyOS, Value: runtime.GOOS}}
	away := []action.Property{{Name: action.PropertyArch, Value: "other"}, {Name: action.PropertyOS, Value: runtime.GOOS}}
	step := func(id string, cost float64, platform []action.Property, deps ...action.Dep) action.Step {
		return action.Step{
			ID: action.StepID(id), Argv: []string{"x"}, Inputs: digest.Of(digest.BLAKE3, nil), Outputs: []string{"out/" + id}, Timeout: time.Hour,
			Reach: action.Anywhere, Sharing: action.Shared, Cost: cost, OutputBytes: 8 << 20, Platform: platform, Deps: deps,
		}
	}
	g, err := action.NewGraph([]action.Step{
		step("little", 1, here), step("much", 1, here), step("much, slowly", 100, here), step("much, elsewhere", 1, away),
		step("of outputs", 1, here, action.Dep{Step: "little"}), step("unmeasured", 0, here),
	})
	if err != nil {
		t.Fatal(err)
	}
	sizes := []inputSize{{fresh: 1 << 10}, {fresh: 2 << 20}, {fresh: 2 << 20}, {fresh: 2 << 20}, {}, {fresh: 2 << 20}}
	r := &run{graph: g, sizes: sizes}
	r.stay()
	if g.Steps()[1].Reach != action.Anywhere {
		t.Error("standard: a step stays")
	}
	r.profile.Network = profile.MinimizeTransfer
	r.stay()
	for i, want := range []bool{false, true, false, false, true, true} {
		if stays := g.Steps()[i].Reach == action.InitiatorFirst; stays != want {
			t.Errorf("%s: stays is %v", g.Steps()[i].ID, stays)
		}
	}
}

func TestEfficiencyIsHalfOfTheSlots(t *testing.T) {
	member := func(slots int, s peer.State) peer.Member {
		return peer.Member{State: s, Caps: peer.Capabilities{Slots: slots}}
	}
	members := []peer.Member{member(4, peer.Alive), member(3, peer.Alive), member(8, peer.Failed), member(-5, peer.Alive)}
	r := &run{opts: Options{Members: func() []peer.Member { return members }}}
	for _, c := range []struct {
		cpu        profile.CPU
		jobs, want int
	}{{profile.AllCores, 0, 0}, {profile.EfficiencyCores, 0, 3}, {profile.EfficiencyCores, 2, 2}, {profile.EfficiencyCores, 9, 3}} {
		r.profile.CPU, r.req.Modes.Jobs = c.cpu, c.jobs
		if got := r.modes().Jobs; got != c.want {
			t.Errorf("%s with -j %d: %d jobs, want %d", c.cpu, c.jobs, got, c.want)
		}
	}
	if n := halfTheSlots(nil); n != 1 {
		t.Errorf("of nobody: %d", n)
	}
}
