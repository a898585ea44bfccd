package node

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/buildnet/buildnet/node/api"
)

func TestARequestThatIsKeptIsForOtherTargets(t *testing.T) {
	asked := api.BuildRequest{
		Dir: "/p", Targets: []string{"a"}, Force: true, KeepGoing: true, Jobs: 3, Profile: "speed", Env: map[string]string{"TOKEN": "secret"},
		TreeID: "t", Resume: api.Newest,
	}
	var kept api.BuildRequest
	if err := json.Unmarshal(again(asked), &kept); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(api.BuildRequest{Dir: "/p", Force: true, KeepGoing: true, Jobs: 3, Profile: "speed"}, kept); diff != "" {
		t.Error(diff)
	}
}
