package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/api/client"
	"github.com/buildnet/buildnet/node/config"
)

const (
	// startTime is how long another process may take to start the node of our
	// home before we no longer believe in it.
	startTime = 30 * time.Second
	// drainTime is how long a node that is about to end may take.
	drainTime = time.Minute
	// lastTime is what a node of this process still gets when a build on it has
	// not ended in client.EndWithin after an interrupt.
	lastTime = 200 * time.Millisecond
	// lookEvery is how often we look for either.
	lookEvery = 10 * time.Millisecond

	// maxLog bounds node.log in bytes; a larger one becomes node.log.old.
	maxLog  = 16 << 20
	logName = "node.log"
)

// ErrHomeInUse is what a Starter's node fails with when another process holds
// the home.
var ErrHomeInUse = errors.New("home is in use")

// homes returns where to look for a node, the user's own first.
func (a *app) homes() ([]string, error) {
	homes, err := config.Homes(a.home)
	if err != nil {
		return nil, usage{err}
	}
	return homes, nil
}

// running returns the client of the first node that runs, or client.ErrNoNode.
func (a *app) running(ctx context.Context) (*client.Client, error) {
	homes, err := a.homes()
	if err != nil {
		return nil, err
	}
	for i, home := range homes {
		c := client.New(home)
		err := c.Probe(ctx)
		if err == nil {
			return c, nil
		}
		// A shared node that this user may not use is as good as none.
		if !errors.Is(err, client.ErrNoNode) && (i == 0 || !errors.Is(err, client.ErrDenied)) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%w at %s", client.ErrNoNode, filepath.Join(homes[0], config.SocketName))
}

// session is a node to talk to.
type session struct {
	*client.Client
	// own ends the node, if it is of this process; nil if it is not.
	own *hosted
}

// hosted is a node that runs in this process.
type hosted struct {
	cancel context.CancelFunc
	done   chan error
	log    *os.File
}

// leftover is what a command leaves on its node.
type leftover int

const (
	nothing leftover = iota
	// aBuild was interrupted and has not ended in time.
	aBuild
)

// close ends the node if it is ours, once no other process' build runs on it.
func (s session) close(a *app, left leftover) error {
	if s.own == nil {
		return nil
	}
	others := 0
	if h, err := s.Health(context.Background()); err == nil {
		others = h.Builds - int(left)
	}
	if others > 0 {
		a.say("%s of others on this process' node: waiting; another Ctrl-C ends them", plural(others, "build"))
	}
	s.own.cancel()
	var late <-chan time.Time // nil waits as long as it takes
	if left == aBuild && others <= 0 {
		late = time.After(lastTime)
	}
	select {
	case err := <-s.own.done:
		_ = s.own.log.Close()
		if err != nil {
			return fmt.Errorf("end the node: %w", err)
		}
	case <-late:
		// The end of the process ends what is left, as kill -9 would.
	}
	return nil
}

// connect returns a session with the node that runs, or with one that it starts
// in this process.
func (a *app) connect(ctx context.Context) (session, error) {
	give, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		c, err := a.running(give)
		if err == nil {
			return session{Client: c}, nil
		}
		if !errors.Is(err, client.ErrNoNode) {
			return session{}, err
		}
		s, err := a.host(give)
		if err == nil || !errors.Is(err, ErrHomeInUse) {
			return s, err
		}
		// Another process was faster, and its socket is about to be there; or it
		// is about to end.
		select {
		case <-look.C:
		case <-give.Done():
			if ctx.Err() != nil {
				return session{}, errInterrupted
			}
			return session{}, unreachable{err}
		}
	}
}

// host starts a node in this process.
func (a *app) host(ctx context.Context) (session, error) {
	homes, err := a.homes()
	if err != nil {
		return session{}, err
	}
	log, err := openLog(homes[0])
	if err != nil {
		return session{}, err
	}
	n, err := a.sys.Start(NodeConfig{Home: homes[0], Lifetime: Ephemeral, Log: log})
	if err != nil {
		_ = log.Close()
		return session{}, err
	}
	// Not ctx: it ends with the search, and an interrupt ends the build first.
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	h := &hosted{cancel: cancel, done: make(chan error, 1), log: log}
	go func() { h.done <- n.Run(running) }()
	select {
	case <-n.Ready():
		return session{Client: client.New(homes[0]), own: h}, nil
	case err = <-h.done:
	case <-ctx.Done():
		cancel()
		err = errors.Join(errInterrupted, <-h.done)
	}
	cancel()
	_ = log.Close()
	if err == nil {
		err = errors.New("the node ended before it was ready")
	}
	return session{}, err
}

// openLog opens the log of a node that has no terminal.
func openLog(home string) (*os.File, error) {
	if err := os.MkdirAll(home, 0o700); err != nil {
		return nil, fmt.Errorf("make the home: %w; choose another with --home", err)
	}
	path := filepath.Join(home, logName)
	if info, err := os.Stat(path); err == nil && info.Size() > maxLog {
		if err := os.Rename(path, path+".old"); err != nil {
			return nil, fmt.Errorf("put the old log away: %w", err)
		}
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the node's log: %w", err)
	}
	return f, nil
}

// gone waits until the process of a node has ended.
func gone(ctx context.Context, st api.Status) error {
	ctx, cancel := context.WithTimeout(ctx, drainTime)
	defer cancel()
	if err := waitForEnd(ctx, st.PID); err != nil {
		return fmt.Errorf("wait for the node (process %d) to end: %w; see node.log in %s", st.PID, err, st.Home)
	}
	return nil
}
