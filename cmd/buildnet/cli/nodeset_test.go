package cli_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/buildnet/buildnet/node/api"
)

func TestNodeSetSaysWhatOthersMayUse(t *testing.T) {
	m := newMachine(t)
	m.node.StatusIs.Lent = api.Lent{Share: 1, Slots: 3, Of: 8, Text: "3 of 8 slots: the owner uses 60 % of this machine", Means: "control group, version 2: weight"}
	m.up()
	m.run("node", "set", "--share", "0.5", "--yield", "on").want(t, 0,
		"others may use 3 of 8 slots: the owner uses 60 % of this machine (share 0.5, yield on)\n", "")
	r := m.run("node", "set", "--yield", "off", "--json")
	var lent api.Lent
	if err := json.Unmarshal([]byte(r.out), &lent); err != nil || lent.Yield || lent.Share != 0.5 || lent.Slots != 3 {
		t.Errorf("status %d, %+v, %v: %s", r.status, lent, err, r.talked)
	}
	half, on, off := 0.5, true, false
	if diff := cmp.Diff([]any{api.LendRequest{Share: &half, Yield: &on}, api.LendRequest{Yield: &off}}, m.node.Asked()); diff != "" {
		t.Error(diff)
	}
	m.run("node", "status").want(t, 0, "the owner uses 60 % of this machine", "")
	m.run("node", "status").want(t, 0, "control group, version 2: weight", "")
}

func TestNodeSetRefusesWhatIsNoSetting(t *testing.T) {
	m := newMachine(t)
	for _, args := range [][]string{
		{"node", "set"}, {"node", "set", "--share", "0"}, {"node", "set", "--share", "2"}, {"node", "set", "--share", "half"},
		{"node", "set", "--yield", "maybe"}, {"node", "set", "--share", "NaN"}, {"node", "set", "now"},
	} {
		if r := m.run(args...); r.status != 2 || r.talked == "" {
			t.Errorf("%v: status %d, %q", args, r.status, r.talked)
		}
	}
	m.run("node", "set", "--yield", "on").want(t, 3, "", "buildnet node up")
}
