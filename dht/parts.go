package dht

import (
	"context"
	"sync"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/store/digest"
)

const (
	// maxPartBytes of an action's parts come with it: on a slow link, no more
	// than a question costs.
	maxPartBytes = 16 << 10
	// maxParts of one action are taken from a peer.
	maxParts = 1024
	// maxSent parts are remembered for one peer.
	maxSent = 4096
)

// parts are blobs that came with an action, by what they turned out to be. Its
// zero value is empty; a nil one takes nothing.
type parts struct {
	mu    sync.Mutex
	blobs map[digest.Digest][]byte
}

// add takes what a peer sent. It is believed by nobody: only what the action
// names is ever asked for.
func (p *parts) add(fn digest.Function, contents [][]byte) {
	if p == nil || len(contents) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.blobs == nil {
		p.blobs = map[digest.Digest][]byte{}
	}
	for _, content := range contents[:min(len(contents), maxParts)] {
		p.blobs[digest.Of(fn, content)] = content
	}
}

func (p *parts) none() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.blobs) == 0
}

func (p *parts) take(key digest.Digest) ([]byte, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	content, ok := p.blobs[key]
	return content, ok
}

// sent remembers what went to a peer, which has it since or can do without.
type sent struct {
	mu   sync.Mutex
	keys map[digest.Digest]struct{}
}

// first reports whether key has not been sent lately, and notes it.
func (s *sent) first(key digest.Digest) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.keys[key]; ok {
		return false
	}
	if s.keys == nil || len(s.keys) >= maxSent {
		s.keys = map[digest.Digest]struct{}{}
	}
	s.keys[key] = struct{}{}
	return true
}

// parts collects what an action is made of and the guest was not sent, as far as
// it is here and little: its command, its root, the directories level by level.
func (d *DHT) parts(ctx context.Context, g *guest, key digest.Digest, content []byte) [][]byte {
	var a repb.Action
	if proto.Unmarshal(content, &a) != nil {
		return nil // no action
	}
	left := int64(maxPartBytes)
	var found [][]byte
	take := func(r *repb.Digest) []byte {
		part, err := digest.FromHex(key.Function(), r.GetHash(), r.GetSizeBytes())
		if err != nil || part.Size() > left || len(found) == maxParts || !g.sent.first(part) {
			return nil
		}
		content, err := d.content(ctx, part)
		if err != nil || len(content) == 0 {
			return nil
		}
		left -= part.Size()
		found = append(found, content)
		return content
	}
	take(a.GetCommandDigest())
	level := []*repb.Digest{a.GetInputRootDigest()}
	for depth := 0; len(level) > 0 && depth < maxDepth; depth++ {
		var next []*repb.Digest
		for _, at := range level {
			var dir repb.Directory
			if content := take(at); content == nil || proto.Unmarshal(content, &dir) != nil {
				continue
			}
			for _, sub := range dir.GetDirectories() {
				next = append(next, sub.GetDigest())
			}
		}
		level = next
	}
	return found
}
