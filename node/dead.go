package node

import (
	"context"
	"encoding/json"
	"os"
	"time"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/store/dead"
)

// again is a request as it is kept, to be made again for other targets: without
// the user's environment, which may hold secrets.
func again(r api.BuildRequest) json.RawMessage {
	r.Env, r.Targets, r.TreeID, r.Resume = nil, nil, "", ""
	kept, err := json.Marshal(r)
	if err != nil {
		return nil // it is strings, numbers and switches alone
	}
	return kept
}

// userOf is who a caller is to the dead letters. The node's own user could read
// them in the store.
func userOf(uid int) dead.User {
	if uid == api.UnknownUID || uid == os.Geteuid() || uid == 0 {
		return dead.Any
	}
	return dead.User(uid)
}

// DeadLetters implements api.Node.
func (o *offer) DeadLetters(_ context.Context, uid int) ([]api.DeadLetter, error) {
	letters, err := o.parts.dead.List(userOf(uid), time.Now())
	if err != nil {
		return nil, err
	}
	all := make([]api.DeadLetter, 0, len(letters))
	for _, l := range letters {
		d := api.DeadLetter{ID: l.ID, At: l.At, Build: l.Build, Root: l.Root, Step: l.Step, Cause: l.Cause, Tries: []api.DeadTry{}}
		for _, t := range l.Tries {
			d.Tries = append(d.Tries, api.DeadTry(t))
		}
		if json.Unmarshal(l.Request, &d.Again) != nil || d.Again.Dir == "" {
			d.Again = api.BuildRequest{Dir: l.Root} // of a version that asked in other words
		}
		d.Again.Targets = []string{l.Step}
		all = append(all, d)
	}
	return all, nil
}
