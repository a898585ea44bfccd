package node

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/store/dead"
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

func TestWhoeverMayReadTheStoreSeesAllLetters(t *testing.T) {
	for uid, want := range map[int]dead.User{0: dead.Any, os.Geteuid(): dead.Any, api.UnknownUID: dead.Any, 4711: 4711} {
		if got := userOf(uid); got != want {
			t.Errorf("user %d is %d, want %d", uid, got, want)
		}
	}
}
