package hostile_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/buildnet/buildnet/simulations/lab/hostile"
	"github.com/buildnet/buildnet/store/digest"
)

const (
	// maxGrowth is what docs/reapi.md says that clients make a node's memory grow by at
	// most.
	maxGrowth = 1536 << 20
	// patience is what another client's call may take while a machine is as busy as the
	// hostile client makes it.
	patience = 20 * time.Second
	// rounds is how often another client does what it does.
	rounds = 10
)

// attack, in the environment, makes a process of this test the hostile client of the
// address: what a client keeps is not the server's memory.
const attack = "BUILDNET_TEST_ATTACK"

func TestMain(m *testing.M) {
	if addr := os.Getenv(attack); addr != "" {
		ctx, stop := context.WithCancel(context.Background())
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			stop()
		}()
		hostile.Attack{Addr: addr, Scale: scale}.Run(ctx, func(harm string) { fmt.Println(harm) })
		return
	}
	os.Exit(m.Run())
}

// node is a real one in a process of its own.
type node struct {
	pid  int
	addr string
}

func up(t *testing.T) node {
	t.Helper()
	binary := os.Getenv("BUILDNET_BINARY")
	if binary == "" {
		binary = filepath.Join(t.TempDir(), "buildnet")
		if out, err := exec.Command("go", "build", "-o", binary, "../../../cmd/buildnet").CombinedOutput(); err != nil {
			t.Fatalf("build: %v: %s", err, out)
		}
	}
	cmd := exec.Command(binary, "node", "up", "--json", "--home", t.TempDir(), "--listen", "127.0.0.1:0", "--api", "127.0.0.1:0", "--reapi", "127.0.0.1:0", "--slots", "1")
	var log bytes.Buffer
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		ended := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
		if err := cmd.Wait(); err != nil {
			t.Errorf("the node: %v: %s", err, log.Bytes())
		}
		ended.Stop()
	})
	var ready struct{ REAPI string }
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil || json.Unmarshal(line, &ready) != nil || ready.REAPI == "" {
		t.Fatalf("the node says %q, %v", line, err)
	}
	return node{cmd.Process.Pid, ready.REAPI}
}

// peak is the most memory that the node has had, in bytes (proc(5), VmHWM).
func (n node) peak(t *testing.T) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	kib, err := strconv.ParseInt(strings.Fields(after)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

// begin begins the attack, as another user if we may.
func (n node) begin(t *testing.T) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), attack+"="+n.addr)
	cmd.Stderr = os.Stderr
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	told := make(chan struct{})
	go func() {
		defer close(told)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			t.Logf("the hostile client has done for the first time: %s", lines.Text())
		}
	}()
	t.Cleanup(func() {
		in.Close()
		ended := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		<-told
		_ = cmd.Wait()
		ended.Stop()
	})
}

// build does what a build does, and returns the longest that a call took.
func build(t *testing.T, conn *grpc.ClientConn, round int) (longest time.Duration) {
	t.Helper()
	cas := repb.NewContentAddressableStorageClient(conn)
	content := bytes.Repeat(fmt.Appendf(nil, "%d\n", round), 1<<18)
	d := &repb.Digest{Hash: digest.Of(digest.SHA256, content).Hex(), SizeBytes: int64(len(content))}
	for name, call := range map[string]func(context.Context) error{
		"capabilities": func(ctx context.Context) error {
			_, err := repb.NewCapabilitiesClient(conn).GetCapabilities(ctx, &repb.GetCapabilitiesRequest{})
			return err
		},
		"missing": func(ctx context.Context) error {
			_, err := cas.FindMissingBlobs(ctx, &repb.FindMissingBlobsRequest{BlobDigests: []*repb.Digest{d}})
			return err
		},
		"upload and read": func(ctx context.Context) error {
			if _, err := cas.BatchUpdateBlobs(ctx, &repb.BatchUpdateBlobsRequest{Requests: []*repb.BatchUpdateBlobsRequest_Request{{Digest: d, Data: content}}}); err != nil {
				return err
			}
			a, err := cas.BatchReadBlobs(ctx, &repb.BatchReadBlobsRequest{Digests: []*repb.Digest{d}})
			if err == nil && !bytes.Equal(a.Responses[0].Data, content) {
				err = fmt.Errorf("the blob is another: %v", a.Responses[0].Status)
			}
			return err
		},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		began := time.Now()
		if err := call(ctx); err != nil {
			t.Errorf("round %d: %s: %v, after %v", round, name, err, time.Since(began))
		}
		longest = max(longest, time.Since(began))
		cancel()
	}
	return longest
}

// A client that means harm, in all ways that we know at once, leaves the node's memory
// within its bound, and other clients' calls are answered.
func TestAHostileClientStaysWithinTheBoundAndOthersGoOn(t *testing.T) {
	n := up(t)
	conn, err := grpc.NewClient("passthrough:///"+n.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	build(t, conn, -1)
	idle := n.peak(t)
	n.begin(t)
	var longest time.Duration
	for round := range rounds {
		<-time.After(pause) // the attack goes on meanwhile
		longest = max(longest, build(t, conn, round))
		t.Logf("round %d: the node has grown by %d MiB, the longest call of another client took %v", round, (n.peak(t)-idle)>>20, longest)
	}
	if grown := n.peak(t) - idle; grown > maxGrowth {
		t.Errorf("the node has grown by %d MiB, the bound is %d", grown>>20, maxGrowth>>20)
	}
}
