//go:build lab && linux

// Package reapi measures servers of the Remote Execution API on hosts of the lab: our
// nodes, bazel-remote, and whatever else is named in the environment. All get the same
// calls over gRPC from one client, which is the test's process and no part of a host.
// Start reading at BenchmarkActions and BenchmarkBlobs; `make bench-reapi` runs them.
package reapi

import (
	"context"
	_ "embed"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/buildnet/buildnet/simulations/lab"
)

// Server is a server of the Remote Execution API on a host.
type Server struct {
	Name string
	// Address is its TCP HOST:PORT, as the host has it.
	Address string
	Host    *lab.Host
}

// Node is the server that every node of a mesh is.
func Node(h *lab.Host) Server { return Server{"buildnet", "127.0.0.1:9877", h} }

// Program is a server that others have made.
type Program struct {
	Name    string
	Address string
	// Executes is false of a server that is a cache and no more.
	Executes bool
	// Argv is run in a directory of the host, where it finds what it wrote before.
	Argv []string
}

// also names a program in the environment: its name, HOST:PORT, and what serves there
// until it is killed, with its arguments.
const also = "REAPI_ALSO"

// Others are the programs to compare with: bazel-remote where it can be had, and the one
// that the environment names.
func Others(tb testing.TB) (all []Program) {
	tb.Helper()
	if p, is := bazelRemote(tb); is {
		all = append(all, p)
	}
	words := strings.Fields(os.Getenv(also))
	switch len(words) {
	case 0:
	case 1, 2:
		tb.Fatalf("%s=%q is no name, HOST:PORT and program", also, os.Getenv(also))
	default:
		all = append(all, Program{words[0], words[1], true, words[2:]})
	}
	return all
}

//go:embed fetch
var fetch string

// bazelRemote is told to keep blobs as they come, which is faster than to compress them,
// and to log nothing.
func bazelRemote(tb testing.TB) (p Program, is bool) {
	tb.Helper()
	cmd := exec.CommandContext(context.Background(), "sh", "-c", fetch)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		tb.Logf("without bazel-remote: %v: %s", err, errs.String())
		return Program{}, false
	}
	const address = "127.0.0.1:9092"
	return Program{"bazel-remote", address, false, []string{
		strings.TrimSpace(string(out)), "--dir", "bazel-remote", "--max_size", "5", "--storage_mode", "uncompressed",
		"--access_log_level", "none", "--grpc_address", address, "--http_address", "127.0.0.1:9090",
	}}, true
}

// ready bounds how long servers take to start.
const ready = time.Minute

// Start runs the program on a host, until the host is killed or the test ends.
func (p Program) Start(tb testing.TB, h *lab.Host) Server {
	tb.Helper()
	runs := h.Spawn(p.Argv...)
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("%s says:\n%s", p.Name, runs.Output())
		}
	})
	s := Server{p.Name, p.Address, h}
	s.await(tb)
	return s
}

// Connect makes a connection, which ends with the test.
func (s Server) Connect(tb testing.TB) *grpc.ClientConn {
	tb.Helper()
	conn, err := grpc.NewClient("passthrough:///"+s.Address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) { return s.Host.Dial(ctx, address) }))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return conn
}

// await waits until the server says what it can do.
func (s Server) await(tb testing.TB) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), ready)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	ask := repb.NewCapabilitiesClient(s.Connect(tb))
	for {
		_, err := ask.GetCapabilities(ctx, &repb.GetCapabilitiesRequest{}, grpc.WaitForReady(true))
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			tb.Fatalf("%s at %s: %v", s.Name, s.Address, err)
		case <-tick.C:
		}
	}
}
