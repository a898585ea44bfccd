package node

import (
	"bytes"
	"fmt"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/event"
)

// invoked returns the ID of a build of this node that id means, and the program whose
// commands it is of; ok says that it is one of that kind.
func (o *offer) invoked(id string) (full, client string, ok bool) {
	if full, client, ok = o.parts.invocations.Client(id); ok {
		return full, client, true
	}
	r, err := o.parts.chronicle().Get(id)
	if err != nil {
		return "", "", false // whoever asks for it hears that
	}
	for line := range bytes.Lines(r.Events) {
		e, err := event.Decode(bytes.TrimSuffix(line, []byte("\n")))
		if started, is := e.(event.BuildStarted); err == nil && is {
			return r.ID, started.Client, started.Client != ""
		}
	}
	return r.ID, "", false
}

// attachable is why a build cannot be followed.
func (o *offer) attachable(id string) error {
	full, client, ok := o.invoked(id)
	if !ok {
		return nil
	}
	return &api.Error{
		Kind:    api.Conflict,
		Message: fmt.Sprintf("build %s is of %s, which has its commands run one by one and its files where it works: nobody else could go on with it, and there is nothing to bring", full, client),
		Hint:    "once it has ended, `buildnet builds show " + full + "` tells what ran where",
	}
}
