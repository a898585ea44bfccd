package execute_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"

	"github.com/buildnet/buildnet/node/nodetest"
	"github.com/buildnet/buildnet/node/reapi/names"
	"github.com/buildnet/buildnet/store/digest"
)

// lose removes the files of a node's large blobs, and has it see that they are gone.
func lose(t *testing.T, n *nodetest.Node) (lost int) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(n.Home, "store", "files"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, "-300000") {
			return err
		}
		lost++
		return os.Remove(path)
	})
	if err != nil {
		t.Fatal(err)
	}
	if v, err := n.API().VerifyCache(t.Context()); err != nil || len(v.Corrupt) != lost {
		t.Fatalf("verify: %v, %v; want %d lost", v, err, lost)
	}
	return lost
}

// after is an action that reads what others made, which the client never had.
func (c *client) after(script, name string, of *repb.Digest, outputs ...string) *repb.Digest {
	c.Helper()
	root := c.putMessage(&repb.Directory{Files: []*repb.FileNode{{Name: name, Digest: of}}})
	command := c.putMessage(&repb.Command{Arguments: []string{"/bin/sh", "-c", script}, OutputPaths: outputs})
	return c.putMessage(&repb.Action{CommandDigest: command, InputRootDigest: root})
}

// Building without the bytes: what is lost of the outputs that a client never had is
// made again when it is asked for, read, or needed, at any depth.
func TestLostOutputsAreMadeAgain(t *testing.T) {
	n := one(t, 2)
	c := connect(t, n)
	const size = "head -c 300000"
	a := c.ok(c.run(c.in("one"), c.upload(shell(size+" /dev/zero | tr '\\0' a > a", "a")))).GetOutputFiles()[0].GetDigest()
	b := c.ok(c.run(c.in("one"), c.after("tr a b < a > b", "a", a, "b"))).GetOutputFiles()[0].GetDigest()
	copied := c.ok(c.run(c.in("one"), c.after("cp b copy", "b", b, "copy"))).GetOutputFiles()[0].GetDigest()
	if copied.GetHash() != b.GetHash() {
		t.Fatal("a copy is not what it was made of")
	}
	missing := func(d *repb.Digest) bool {
		r, err := c.cas.FindMissingBlobs(c.in("two"), &repb.FindMissingBlobsRequest{BlobDigests: []*repb.Digest{d}})
		if err != nil {
			t.Fatal(err)
		}
		return len(r.GetMissingBlobDigests()) > 0
	}
	counts := func() (remade, lost int64) {
		st, err := n.API().Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return st.Counters["blobs_remade"], st.Counters["blobs_not_remade"]
	}
	for what, use := range map[string]func(){
		"asked for": func() {
			if missing(b) {
				t.Error("it is missing")
			}
		},
		"read": func() {
			if got := c.read(b); got != strings.Repeat("b", 300_000) {
				t.Errorf("it is %d bytes, of which the first are %.10q", len(got), got)
			}
		},
		"read by an action": func() {
			r := c.run(c.in(t.Name()), c.after("wc -c < b > n; echo "+t.Name(), "b", b, "n"))
			if got := c.read(c.ok(r).GetOutputFiles()[0].GetDigest()); strings.TrimSpace(got) != "300000" {
				t.Errorf("it has %q bytes", got)
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			if lost := lose(t, n); lost != 2 {
				t.Fatalf("lost %d blobs, want both", lost)
			}
			before, _ := counts()
			use()
			if after, lost := counts(); after-before != 2 || lost != 0 {
				t.Errorf("%d blobs were made again and %d not, want 2 and none", after-before, lost)
			}
		})
	}
	if never := names.Message(digest.Of(c.fn, []byte("nobody made it"))); !missing(never) {
		t.Error("what nobody made is there")
	}
}

// REAPI v2, UpdateActionResult: a client says what its action made. That is tried when
// it is lost; a false word brings nothing.
func TestWhatAClientSaysItMadeIsMadeAgain(t *testing.T) {
	n := nodetest.Start(t, 2, "")
	c := connect(t, n)
	say := func(script, made string) *repb.Digest {
		act, out := c.upload(shell(script, "out")), c.put([]byte(strings.Repeat(made, 300_000)))
		_, err := c.ac.UpdateActionResult(c.Context(), &repb.UpdateActionResultRequest{
			ActionDigest: act, ActionResult: &repb.ActionResult{OutputFiles: []*repb.OutputFile{{Path: "out", Digest: out}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	honest := say("head -c 300000 /dev/zero | tr '\\0' h > out", "h")
	lie := say("head -c 300001 /dev/zero > out", "l")
	if lost := lose(t, n); lost != 2 {
		t.Fatalf("lost %d blobs, want both", lost)
	}
	r, err := c.cas.FindMissingBlobs(c.in("asks"), &repb.FindMissingBlobsRequest{BlobDigests: []*repb.Digest{honest, lie}})
	if err != nil || len(r.GetMissingBlobDigests()) != 1 || r.GetMissingBlobDigests()[0].GetHash() != lie.GetHash() {
		t.Errorf("missing: %v, %v; want what its action does not make", r.GetMissingBlobDigests(), err)
	}
}
