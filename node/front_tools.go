package node

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/buildnet/buildnet/node/reapi/fault"
	"github.com/buildnet/buildnet/node/toolchain"
)

// seenTime is how old a look at the machine's programs may be when a client asks. A
// worker looks again before it runs an action, unless it did so a moment ago, and after.
const seenTime = time.Second

const (
	// slowTime is how long a look may take before it is said what it waits for.
	slowTime = 10 * time.Second
	// lookTime is how long those who need it wait. A busy machine takes a minute for its
	// first look, and more for files that come over a network.
	lookTime = 3 * time.Minute
	// endTime is how long a node that ends waits for a look.
	endTime = 5 * time.Second
)

// clientTools are the programs that the commands of clients may run: all that is
// installed on this machine, since nobody knows what a command runs beside its first
// program.
type clientTools struct {
	prober prober
	log    *slog.Logger
	coming chan struct{} // a client

	mu      sync.Mutex
	known   map[toolchain.Spec]seen
	looking map[toolchain.Spec]*look
	ended   bool
}

// prober is a toolchain.Prober.
type prober interface {
	Digest(ctx context.Context, s toolchain.Spec) (string, error)
	Silent(ctx context.Context) []string
}

// look is one that goes on.
type look struct {
	done   chan struct{}
	late   chan struct{} // closed when it has taken lookTime
	digest string        // these two when it is done
	err    error

	// guarded by clientTools.mu
	slow  bool
	paths []string // what it waits for, as far as that is known
}

// seen is what a look came to.
type seen struct {
	digest string
	at     time.Time
}

func newClientTools(p prober, log *slog.Logger) *clientTools {
	return &clientTools{prober: p, log: log, coming: make(chan struct{}, 1), known: map[toolchain.Spec]seen{}, looking: map[toolchain.Spec]*look{}}
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
	defer c.end()
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

// digest looks at the programs unless somebody has just done so. Others wait for the same
// look, which does not end with whoever asked first: while a file does not answer, nothing
// can end it.
func (c *clientTools) digest(ctx context.Context, s toolchain.Spec) (string, error) {
	c.mu.Lock()
	if was := c.known[s]; time.Since(was.at) < seenTime {
		c.mu.Unlock()
		return was.digest, nil
	}
	l := c.looking[s]
	switch {
	case l != nil:
	case c.ended:
		c.mu.Unlock()
		return "", fault.Errorf(codes.Unavailable, "this node is ending")
	default:
		l = &look{done: make(chan struct{}), late: make(chan struct{})}
		c.looking[s] = l
		go c.look(context.WithoutCancel(ctx), s, l) // end waits for it
	}
	c.mu.Unlock()
	select {
	case <-l.done:
		return l.digest, l.err
	case <-ctx.Done():
		return "", fmt.Errorf("look at what is installed: %w", ctx.Err())
	case <-l.late:
		return "", fault.Errorf(codes.FailedPrecondition, "what is installed on this node could not be looked at for %v: %s; then run this again", lookTime, waitsFor(c.silent()))
	}
}

func (c *clientTools) look(ctx context.Context, s toolchain.Spec, l *look) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	defer time.AfterFunc(slowTime, func() { c.say(ctx, l) }).Stop()
	defer time.AfterFunc(lookTime, func() { close(l.late) }).Stop()
	at := time.Now()
	l.digest, l.err = c.prober.Digest(ctx, s)
	c.mu.Lock()
	defer c.mu.Unlock()
	if l.err == nil {
		c.known[s] = seen{l.digest, at}
	}
	delete(c.looking, s)
	close(l.done)
}

// say tells what a look waits for.
func (c *clientTools) say(ctx context.Context, l *look) {
	paths := c.prober.Silent(ctx)
	c.mu.Lock()
	l.slow, l.paths = true, paths
	c.mu.Unlock()
	if ctx.Err() == nil {
		c.log.Warn("actions of Remote Execution clients wait for a look at what is installed", "paths", paths, "ends_after", lookTime)
	}
}

// note says what clients wait for; "" if for nothing that takes long.
func (c *clientTools) note() string {
	c.mu.Lock()
	slow := false
	for _, l := range c.looking {
		slow = slow || l.slow
	}
	c.mu.Unlock()
	if !slow {
		return ""
	}
	return "actions of Remote Execution clients wait for a look at what is installed: " + waitsFor(c.silent())
}

// silent are the files that looks wait for which take long.
func (c *clientTools) silent() (paths []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.looking {
		paths = append(paths, l.paths...)
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

func waitsFor(paths []string) string {
	if len(paths) == 0 {
		return "wait until this machine is less busy"
	}
	return "no answer of " + strings.Join(paths, ", ") + "; if that is a mount whose server is gone, bring it back, or `umount -l` it"
}

// end waits for the looks that go on, as long as they can be waited for, and has none
// begin.
func (c *clientTools) end() {
	c.mu.Lock()
	c.ended = true
	looks := slices.Collect(maps.Values(c.looking))
	c.mu.Unlock()
	for _, l := range looks {
		select {
		case <-l.done:
		case <-time.After(endTime):
		}
	}
}
