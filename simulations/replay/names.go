package replay

import (
	"fmt"
	"strings"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/node/event"
)

// leastPart of an ID is taken for a peer.
const leastPart = 4

// nameOf is a peer's host name, with the end of its ID where others have the
// same.
func nameOf(rec *event.Recording, at int) string {
	p := &rec.Peers[at]
	short := peer.ID(p.Peer).Short()
	if p.Name == "" {
		return short
	}
	for i := range rec.Peers {
		if i != at && rec.Peers[i].Name == p.Name {
			return p.Name + "-" + short
		}
	}
	return p.Name
}

// find returns the peer that a user means: by its name, or by the beginning or
// the end of its ID.
func find(rec *event.Recording, name string) (int, error) {
	var found []int
	for i := range rec.Peers {
		id := rec.Peers[i].Peer
		switch {
		case id == name || nameOf(rec, i) == name:
			return i, nil
		case rec.Peers[i].Name == name, len(name) >= leastPart && (strings.HasPrefix(id, name) || strings.HasSuffix(id, name)):
			found = append(found, i)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return 0, fmt.Errorf("%w: no peer of the build is called %q; its peers are %s", ErrChange, name, namesOf(rec))
	default:
		return 0, fmt.Errorf("%w: %q is %d peers of the build; its peers are %s", ErrChange, name, len(found), namesOf(rec))
	}
}
