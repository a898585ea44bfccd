package nodetest

import (
	"context"
	"sync"
	"testing"

	"github.com/buildnet/buildnet/node/toolchain"
)

// shared is what all nodes of a test know of this machine's programs: to look
// at them is to read some gigabytes.
var shared = programs{prober: toolchain.New(toolchain.Options{})}

// programs watches while any test has a node that uses it.
type programs struct {
	prober *toolchain.Prober

	mu    sync.Mutex
	users int
	stop  context.CancelFunc
	ended chan struct{}
}

func (p *programs) watched(t testing.TB) *toolchain.Prober {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.users++; p.users == 1 {
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan struct{})
		p.stop, p.ended = stop, ended
		go func() {
			defer close(ended)
			_ = p.prober.Run(ctx)
		}()
	}
	t.Cleanup(p.left)
	return p.prober
}

func (p *programs) left() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.users--; p.users == 0 {
		p.stop()
		<-p.ended
	}
}
