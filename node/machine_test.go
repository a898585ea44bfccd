package node_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node"
	"github.com/buildnet/buildnet/node/config"
	"github.com/buildnet/buildnet/node/exec"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
)

// startTime bounds the start of a node on a busy machine.
const startTime = 30 * time.Second

// given is a machine's power and its executor, which never runs anything.
type given float64

func (g given) BPU() float64                             { return float64(g) }
func (g given) Measure(context.Context) (float64, error) { return float64(g), nil }
func (g given) Refine(context.Context) (float64, error)  { return float64(g), nil }
func (g given) Isolation() (action.Isolation, string)    { return action.Reduced, "it is none" }
func (g given) Execute(context.Context, exec.Request, func()) (*action.Result, error) {
	return nil, exec.ErrUnsupported
}

func TestADeafNodeOfAnotherMachineIsReachedInItsProcess(t *testing.T) {
	t.Parallel()
	home := filepath.Join(t.TempDir(), "home")
	n, err := node.New(node.Config{
		Home: home, Listen: "127.0.0.1:0", Slots: 3,
		Machine: node.Machine{
			Name: "elsewhere", Power: given(2.5), Cores: 3, Deaf: true,
			Executor: func(store.Blobs) (node.Executor, error) { return given(0), nil },
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), startTime)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	defer func() {
		n.Stop()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v", err)
		}
	}()
	select {
	case <-n.Ready():
	case <-ctx.Done():
		t.Fatal("node is not ready")
	}
	s, err := n.API().Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if s.Name != "elsewhere" || s.BPU != 2.5 || s.Cores != 3 || s.API != "" || s.Isolation != "reduced" || s.IsolationMissing != "it is none" {
		t.Errorf("status %+v", s)
	}
	if _, err := os.Stat(filepath.Join(home, config.SocketName)); !os.IsNotExist(err) {
		t.Errorf("a socket is served: %v", err)
	}
}
