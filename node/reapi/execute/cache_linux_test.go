package execute_test

import (
	"sync"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/buildnet/buildnet/node/reapi/names"
	"github.com/buildnet/buildnet/store/digest"
)

// elsewhere has what one node executed known at another, with all that it names.
func elsewhere(t *testing.T, c, other *client) {
	act := c.upload(shell("cp in out; mkdir -p d/e; cp in d/e/f; echo said", "out", "d"))
	c.ok(c.run(c.in("here"), act))
	var r *repb.ActionResult
	var err error
	for range 200 { // it is told to the mesh behind the answer
		if r, err = other.ac.GetActionResult(other.in("there"), &repb.GetActionResultRequest{ActionDigest: act}); status.Code(err) != codes.NotFound {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if other.read(r.GetOutputFiles()[0].GetDigest()) != "hello\n" || other.read(r.GetStdoutDigest()) != "said\n" {
		t.Errorf("result %v", r)
	}
	tree, err := other.cas.GetTree(other.Context(), &repb.GetTreeRequest{RootDigest: r.GetOutputDirectories()[0].GetRootDirectoryDigest()})
	if err == nil && r.GetOutputDirectories()[0].GetRootDirectoryDigest() != nil {
		_, err = tree.Recv()
	}
	if err != nil {
		t.Error(err)
	}
	other.read(r.GetOutputDirectories()[0].GetTreeDigest())
	other.read(names.Message(digest.Of(other.fn, []byte("hello\n"))))
	if again := other.run(other.in("there"), act); !again.GetCachedResult() {
		t.Errorf("it was executed again: %v", again)
	}
}

func inlining(t *testing.T, c *client) {
	act := c.upload(shell("cp in out; cp in other; echo said; echo complained >&2", "out", "other"))
	r := c.ok(c.response(c.execute(c.in("inlining"), &repb.ExecuteRequest{ActionDigest: act, InlineStdout: true, InlineOutputFiles: []string{"out"}})))
	if string(r.GetStdoutRaw()) != "said\n" || len(r.GetStderrRaw()) != 0 {
		t.Errorf("executed: %v", r)
	}
	r, err := c.ac.GetActionResult(c.Context(), &repb.GetActionResultRequest{ActionDigest: act, InlineStderr: true, InlineOutputFiles: []string{"out"}})
	if err != nil || len(r.GetStdoutRaw()) != 0 || string(r.GetStderrRaw()) != "complained\n" {
		t.Fatalf("from the cache: %v, %v", r, err)
	}
	for _, f := range r.GetOutputFiles() {
		if want := map[string]string{"out": "hello\n", "other": ""}[f.GetPath()]; string(f.GetContents()) != want {
			t.Errorf("%s has %q within", f.GetPath(), f.GetContents())
		}
	}
	// What does not fit into a message is left out.
	act = c.upload(shell("head -c 8000000 /dev/zero > big; cp in out", "big", "out"))
	r = c.ok(c.response(c.execute(c.in("inlining"), &repb.ExecuteRequest{ActionDigest: act, InlineOutputFiles: []string{"big", "out"}})))
	for _, f := range r.GetOutputFiles() {
		if want := map[string]int{"big": 0, "out": 6}[f.GetPath()]; len(f.GetContents()) != want {
			t.Errorf("%s has %d bytes within", f.GetPath(), len(f.GetContents()))
		}
	}
}

func updates(t *testing.T, c, other *client) {
	act := c.upload(shell("false", "out"))
	said := &repb.ActionResult{OutputFiles: []*repb.OutputFile{{Path: "out", Digest: names.Message(digest.Of(c.fn, []byte("made by the client")))}}}
	request := &repb.UpdateActionResultRequest{ActionDigest: act, ActionResult: said}
	if _, err := c.ac.UpdateActionResult(c.Context(), request); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("before its output was uploaded: %v", err)
	}
	c.put([]byte("made by the client"))
	if _, err := c.ac.UpdateActionResult(c.Context(), &repb.UpdateActionResultRequest{ActionDigest: act, ActionResult: &repb.ActionResult{ExitCode: 1}}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a failure: %v", err)
	}
	if _, err := c.ac.UpdateActionResult(c.Context(), request); err != nil {
		t.Fatal(err)
	}
	r, err := c.ac.GetActionResult(c.Context(), &repb.GetActionResultRequest{ActionDigest: act})
	if err != nil || c.read(r.GetOutputFiles()[0].GetDigest()) != "made by the client" {
		t.Errorf("from the cache: %v, %v", r, err)
	}
	// It is the client's word: nobody else's client gets it.
	if r, err := other.ac.GetActionResult(other.Context(), &repb.GetActionResultRequest{ActionDigest: act}); status.Code(err) != codes.NotFound {
		t.Errorf("from the other's cache: %v, %v", r, err)
	}
}

func blake3(t *testing.T, c *client) {
	c.fn = digest.BLAKE3
	act := c.upload(shell("cp in out; mkdir d; cp in d/f", "out", "d"))
	r := c.ok(c.run(c.in("blake3"), act))
	if c.read(r.GetOutputFiles()[0].GetDigest()) != "hello\n" {
		t.Errorf("result %v", r)
	}
	c.read(r.GetOutputDirectories()[0].GetTreeDigest())
	if _, err := c.ac.GetActionResult(c.Context(), &repb.GetActionResultRequest{ActionDigest: act, DigestFunction: c.function()}); err != nil {
		t.Error(err)
	}
}

// shared has an action that many ask for at once, on two nodes, executed once.
func shared(t *testing.T, c, other *client) {
	w := shell("head -c 16 /dev/urandom > out; sleep 1", "out")
	act := c.upload(w)
	other.upload(w)
	var mu sync.Mutex
	made, ops := map[string]int{}, map[string]bool{}
	var all sync.WaitGroup
	for _, from := range []*client{c, c, c, other, other} {
		all.Go(func() {
			got := from.execute(from.in("shared"), &repb.ExecuteRequest{ActionDigest: act})
			r := from.ok(from.response(got))
			mu.Lock()
			defer mu.Unlock()
			made[r.GetOutputFiles()[0].GetDigest().GetHash()]++
			ops[got[0].GetName()] = true
		})
	}
	all.Wait()
	if len(made) != 1 || len(ops) > 2 {
		t.Errorf("made %v, by the operations %v", made, ops)
	}
}
