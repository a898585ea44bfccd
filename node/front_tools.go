package node

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/buildnet/buildnet/node/toolchain"
)

// seenTime is how old a look at the machine's programs may be when a client asks. A
// worker looks again before it runs an action, unless it did so a moment ago, and after.
const seenTime = time.Second

// clientTools are the programs that the commands of clients may run: all that is
// installed on this machine, since nobody knows what a command runs beside its first
// program.
type clientTools struct {
	prober *toolchain.Prober
	looks  singleflight.Group
	coming chan struct{} // a client

	mu    sync.Mutex
	known map[toolchain.Spec]seen
}

// seen is what a look came to.
type seen struct {
	digest string
	at     time.Time
}

func newClientTools(prober *toolchain.Prober) *clientTools {
	return &clientTools{prober: prober, coming: make(chan struct{}, 1), known: map[toolchain.Spec]seen{}}
}

// expect says that a client has come.
func (c *clientTools) expect() {
	select {
	case c.coming <- struct{}{}:
	default:
	}
}

// run looks at the programs when a client comes: the first look takes seconds, which
// the first action need not wait for.
func (c *clientTools) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c.coming:
			_, _ = c.all(ctx) // whoever needs it is told why it fails
		}
	}
}

// of names the programs that a command may run, and what they are here.
func (c *clientTools) of(ctx context.Context, argv []string) (spec, d string, err error) {
	s := toolchain.SpecOf(append([]string{""}, argv...), nil, nil)
	d, err = c.digest(ctx, s)
	return s.Spec, d, err
}

// all are the digests that actions of clients may have here: of what is installed, of
// that and the processor, and of nothing where their programs are inputs.
func (c *clientTools) all(ctx context.Context) ([]string, error) {
	var all []string
	for _, argv := range [][]string{nil, {"-march=native"}} {
		_, d, err := c.of(ctx, argv)
		if err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	return append(all, ""), nil
}

func (c *clientTools) digest(ctx context.Context, s toolchain.Spec) (string, error) {
	c.mu.Lock()
	was := c.known[s]
	c.mu.Unlock()
	if time.Since(was.at) < seenTime {
		return was.digest, nil
	}
	// Others wait for the same look, which does not end with whoever asked first.
	d, err, _ := c.looks.Do(s.Spec, func() (any, error) {
		at := time.Now()
		d, err := c.prober.Digest(context.WithoutCancel(ctx), s)
		if err != nil {
			return "", err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.known[s] = seen{d, at}
		return d, nil
	})
	text, _ := d.(string)
	return text, err
}
