package execute_test

import (
	"slices"
	"strings"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	epb "google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/buildnet/buildnet/node/reapi/names"
	"github.com/buildnet/buildnet/store/digest"
)

// TestConformance has a part for each section of remote_execution.proto that says
// what becomes of an action, under the number of the demand of clients that it is for
// (docs/reapi.md, Conformance).
func TestConformance(t *testing.T) {
	n := one(t, 2)
	for name, part := range map[string]func(*testing.T, *client){
		"demand 2: DigestFunction.BLAKE3":                               blake3,
		"demand 2: instance names":                                      instances,
		"demand 4: ContentAddressableStorage: the empty blob":           empties,
		"demand 5: Action.input_root_digest":                            inputs,
		"demand 5: Command.output_paths, ActionResult.output_files":     outputs,
		"demand 5: Command.output_files and output_directories":         oldOutputs,
		"demand 5: Command.output_directories: the empty string":        wholeOutputs,
		"demand 5: ActionResult.output_symlinks":                        links,
		"demand 5: OutputDirectory and Tree":                            directories,
		"demand 5: Command.working_directory and environment_variables": places,
		"demand 6: Platform":                                            platforms,
		"demand 7: Execution.Execute: exit codes":                       exits,
		"demand 7: Execution.Execute: DEADLINE_EXCEEDED":                timeouts,
		"demand 7: Execution.Execute: missing blobs":                    missing,
		"demand 7: Execution.Execute: invalid arguments":                invalid,
		"demand 7: Execution.WaitExecution":                             waits,
		"demand 7: ExecutionStage, ExecutedActionMetadata":              stages,
		"demand 7: ExecutionStage.QUEUED":                               queues,
		"demand 7: Action.do_not_cache":                                 uncached,
		"demand 7: Action.salt":                                         salts,
		"demand 7: ExecuteRequest.skip_cache_lookup":                    skips,
		"demand 7: Operations.CancelOperation":                          cancels,
		"demand 8: ActionCache.GetActionResult: inlining":               inlining,
	} {
		t.Run(name, func(t *testing.T) { part(t, connect(t, n)) })
	}
}

// TestConformanceOfTwo is the same of what it takes two nodes to see.
func TestConformanceOfTwo(t *testing.T) {
	first, second := two(t)
	for name, part := range map[string]func(*testing.T, *client, *client){
		"demand 7: identical actions in flight":                      shared,
		"demand 8: ActionCache.GetActionResult through another node": elsewhere,
		"demand 8: ActionCache.UpdateActionResult":                   updates,
		"demand 3: ByteStream.Read of what another node has":         uploadedElsewhere,
	} {
		t.Run(name, func(t *testing.T) { part(t, connect(t, first), connect(t, second)) })
	}
}

// uploadedElsewhere are blobs that no result has, and that only the other node has a
// client's name of.
func uploadedElsewhere(t *testing.T, c, other *client) {
	for _, c.fn = range []digest.Function{digest.SHA256, digest.BLAKE3} {
		other.fn = c.fn
		for _, n := range []int{1, 100_000} { // the second is a large one for the mesh
			content := strings.Repeat(c.fn.String()+" uploaded here\n", n)
			d := c.put([]byte(content))
			if got := other.read(d); got != content {
				t.Errorf("%v: %d bytes of %d", c.fn, len(got), len(content))
			}
		}
	}
}

// instances have names of several segments, and results of their own.
func instances(t *testing.T, c *client) {
	act := c.upload(shell("cp in out; echo of an instance", "out"))
	r := c.response(c.execute(c.in("instances"), &repb.ExecuteRequest{InstanceName: "a/b", ActionDigest: act}))
	c.ok(r)
	for name, want := range map[string]codes.Code{"a/b": codes.OK, "a": codes.NotFound, "": codes.NotFound, "a//b": codes.InvalidArgument, "a/blobs": codes.InvalidArgument} {
		if _, err := c.ac.GetActionResult(c.Context(), &repb.GetActionResultRequest{InstanceName: name, ActionDigest: act}); status.Code(err) != want {
			t.Errorf("of the instance %q: %v, want %v", name, err, want)
		}
	}
	stream, err := c.exec.Execute(c.in("instances"), &repb.ExecuteRequest{InstanceName: "a//b", ActionDigest: act})
	if err == nil {
		_, err = all(stream)
	}
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("executed by an instance that is none: %v", err)
	}
}

// empties need no upload: neither the empty blob nor the empty input root.
func empties(t *testing.T, c *client) {
	for _, c.fn = range []digest.Function{digest.BLAKE3, digest.SHA256} {
		empty := names.Message(digest.Of(c.fn, nil))
		r, err := c.cas.FindMissingBlobs(c.Context(), &repb.FindMissingBlobsRequest{DigestFunction: c.function(), BlobDigests: []*repb.Digest{empty}})
		if err != nil || len(r.GetMissingBlobDigests()) > 0 {
			t.Errorf("%v: missing %v, %v", c.fn, r, err)
		}
		if got := c.read(empty); got != "" {
			t.Errorf("%v: read %q", c.fn, got)
		}
		command := c.putMessage(&repb.Command{Arguments: []string{"/bin/sh", "-c", "echo nothing"}})
		c.ok(c.run(c.in("empties"), c.putMessage(&repb.Action{CommandDigest: command, InputRootDigest: empty})))
	}
}

func platforms(t *testing.T, c *client) {
	said := func(pairs ...string) *repb.Platform {
		p := &repb.Platform{}
		for i := 0; i < len(pairs); i += 2 {
			p.Properties = append(p.Properties, &repb.Platform_Property{Name: pairs[i], Value: pairs[i+1]})
		}
		return p
	}
	w := shell("cp in out", "out")
	w.action.Platform = said("OSFamily", "Linux", "container-image", "docker://example.org/x")
	c.ok(c.run(c.in("platform"), c.upload(w)))
	w = shell("cp in out", "out")
	w.command.Platform = said("OSFamily", "linux") //nolint:staticcheck // what older clients do
	c.ok(c.run(c.in("platform"), c.upload(w)))
	w = shell("cp in out", "out")
	w.action.Platform = said("toolchain", "inputs")
	c.ok(c.run(c.in("platform"), c.upload(w)))
	// What it says of the machine is heeded, and the message says what is not.
	w = shell("cp in out", "out")
	w.action.Platform = said("container-image", "docker://example.org/y", "OSFamily", "LINUX")
	if r := c.run(c.in("platform"), c.upload(w)); !strings.Contains(r.GetMessage(), "container-image") || c.ok(r) == nil {
		t.Errorf("response %v", r)
	}
	// What the mesh lacks is named, with what it has instead; before anything waits.
	for _, pair := range [][3]string{{"OSFamily", "Windows", "linux"}, {"gpu", "two", "OSFamily"}, {"sandbox", "none", "OSFamily"}, {"toolchain", "gcc-9", "inputs"}} {
		for _, old := range []bool{false, true} {
			w := shell("cp in out", "out")
			if w.action.Platform = said(pair[:2]...); old {
				w.command.Platform, w.action.Platform = w.action.Platform, nil //nolint:staticcheck // what older clients do
			}
			ops := c.execute(c.in("platform"), &repb.ExecuteRequest{ActionDigest: c.upload(w)})
			got := c.fails(c.response(ops), codes.FailedPrecondition).Message()
			if !strings.Contains(got, pair[0]+`="`+pair[1]+`"`) || !strings.Contains(got, "has "+pair[2]) && !strings.Contains(got, pair[2]+",") && !strings.Contains(got, "and "+pair[2]) {
				t.Errorf("%v: %v", pair, got)
			}
			if seen := stagesOf(t, ops); slices.Contains(seen, repb.ExecutionStage_QUEUED) {
				t.Errorf("%v: stages %v", pair, seen)
			}
		}
	}
	// The action's platform wins.
	w = shell("cp in out", "out")
	w.action.Platform, w.command.Platform = said("OSFamily", "linux"), said("gpu", "two") //nolint:staticcheck // what is tested
	c.ok(c.run(c.in("platform"), c.upload(w)))
}

func exits(t *testing.T, c *client) {
	w := shell("cp in out; echo why >&2; exit 7", "out")
	act := c.upload(w)
	r := c.run(c.in("exits"), act)
	if r.GetStatus().GetCode() != 0 || r.GetResult().GetExitCode() != 7 || c.read(r.GetResult().GetStderrDigest()) != "why\n" || len(r.GetResult().GetOutputFiles()) != 1 {
		t.Errorf("response %v", r)
	}
	if _, err := c.ac.GetActionResult(c.Context(), &repb.GetActionResultRequest{ActionDigest: act}); status.Code(err) != codes.NotFound {
		t.Errorf("what failed is known: %v", err)
	}
	if again := c.run(c.in("exits"), act); again.GetCachedResult() {
		t.Error("what failed was not executed again")
	}
	w = shell("")
	w.command.Arguments = []string{"./no-such-program"}
	r = c.run(c.in("exits"), c.upload(w))
	if r.GetStatus().GetCode() != 0 || r.GetResult().GetExitCode() == 0 {
		t.Errorf("a program that is not there: %v", r)
	}
}

func timeouts(t *testing.T, c *client) {
	w := shell("echo begun; exec sleep 10", "out")
	w.action.Timeout = durationpb.New(1e9)
	r := c.run(c.in("timeouts"), c.upload(w))
	c.fails(r, codes.DeadlineExceeded)
	if c.read(r.GetResult().GetStdoutDigest()) != "begun\n" {
		t.Errorf("result %v", r.GetResult())
	}
}

// subjects are what a status says is missing.
func subjects(t *testing.T, s *status.Status) (all []string) {
	t.Helper()
	for _, detail := range s.Details() {
		f, ok := detail.(*epb.PreconditionFailure)
		if !ok {
			t.Fatalf("detail %v", detail)
		}
		for _, v := range f.GetViolations() {
			if v.GetType() != "MISSING" {
				t.Errorf("violation %v", v)
			}
			all = append(all, v.GetSubject())
		}
	}
	slices.Sort(all)
	return all
}

func missing(t *testing.T, c *client) {
	subject := func(d *repb.Digest) string {
		n, err := names.Digest(c.fn, d)
		if err != nil {
			t.Fatal(err)
		}
		return names.Subject(n)
	}
	of := func(content string) *repb.Digest { return names.Message(digest.Of(c.fn, []byte(content))) }
	w := shell("cp in out", "out")
	w.files = map[string]string{"in": "never uploaded", "other": "nor this"}
	w.omit = true
	act := c.upload(w)
	want := []string{subject(of("never uploaded")), subject(of("nor this"))}
	slices.Sort(want)
	if got := subjects(t, c.fails(c.run(c.in("missing"), act), codes.FailedPrecondition)); !slices.Equal(got, want) {
		t.Errorf("missing %v, want %v", got, want)
	}
	w.action.CommandDigest = of("no command")
	all := append([]string{subject(of("no command"))}, want...)
	slices.Sort(all)
	if got := subjects(t, c.fails(c.run(c.in("missing"), c.putMessage(w.action)), codes.FailedPrecondition)); !slices.Equal(got, all) {
		t.Errorf("missing %v, want %v", got, all)
	}
	c.put([]byte("never uploaded"))
	c.put([]byte("nor this"))
	c.ok(c.run(c.in("missing"), act))

	noCommand := c.putMessage(w.action)
	if got := subjects(t, c.fails(c.run(c.in("missing"), noCommand), codes.FailedPrecondition)); !slices.Equal(got, []string{subject(of("no command"))}) {
		t.Errorf("missing %v", got)
	}
	if got := subjects(t, c.fails(c.run(c.in("missing"), of("no action")), codes.FailedPrecondition)); !slices.Equal(got, []string{subject(of("no action"))}) {
		t.Errorf("missing %v", got)
	}
}

func invalid(t *testing.T, c *client) {
	for name, change := range map[string]func(*work){
		"no command":      func(w *work) { w.command.Arguments = nil },
		"output outside":  func(w *work) { w.command.OutputPaths = []string{"../out"} },
		"absolute output": func(w *work) { w.command.OutputPaths = []string{"/out"} },
		"absolute output in a directory": func(w *work) {
			w.command.WorkingDirectory, w.command.OutputPaths = "work", []string{"/out"}
		},
		"directory outside": func(w *work) { w.command.WorkingDirectory = "../x" },
		"negative timeout":  func(w *work) { w.action.Timeout = durationpb.New(-1e9) },
		"timeout of a year": func(w *work) { w.action.Timeout = durationpb.New(365 * 24 * 3600e9) },
		"a variable twice": func(w *work) {
			w.command.EnvironmentVariables = []*repb.Command_EnvironmentVariable{{Name: "A"}, {Name: "A"}}
		},
		"a file called ..":     func(w *work) { w.files[".."] = "x" },
		"a file with a slash ": func(w *work) { w.files["a/b"] = "x" },
		"an absolute link": func(w *work) {
			w.links = []*repb.SymlinkNode{{Name: "python", Target: "/usr/bin/python3"}}
		},
	} {
		w := shell("cp in out", "out")
		change(w)
		got := status.FromProto(c.run(c.in("invalid"), c.upload(w)).GetStatus())
		if got.Code() != codes.InvalidArgument {
			t.Errorf("%s: %v", name, got)
		}
		for _, l := range w.links {
			if !strings.Contains(got.Message(), l.Name) || !strings.Contains(got.Message(), l.Target) {
				t.Errorf("%s: %q does not name it", name, got.Message())
			}
		}
	}
	stream, err := c.exec.Execute(c.in("invalid"), &repb.ExecuteRequest{ActionDigest: &repb.Digest{Hash: "short"}})
	if err == nil {
		_, err = all(stream)
	}
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("malformed digest: %v", err)
	}
}

func uncached(t *testing.T, c *client) {
	w := shell("cp in out", "out")
	w.action.DoNotCache = true
	act := c.upload(w)
	for range 2 {
		r := c.run(c.in("uncached"), act)
		if c.ok(r); r.GetCachedResult() {
			t.Error("it was taken from a cache")
		}
	}
	if _, err := c.ac.GetActionResult(c.Context(), &repb.GetActionResultRequest{ActionDigest: act}); status.Code(err) != codes.NotFound {
		t.Errorf("from the cache: %v", err)
	}
	w = shell("exec sleep 600")
	w.action.DoNotCache = true
	act = c.upload(w)
	one := c.begin(&repb.ExecuteRequest{ActionDigest: act}, repb.ExecutionStage_EXECUTING)
	other := c.begin(&repb.ExecuteRequest{ActionDigest: act}, repb.ExecutionStage_EXECUTING)
	if one.name == other.name {
		t.Error("two who ask for it share an operation")
		return
	}
	one.cancelled()
	other.cancelled()
}

func salts(t *testing.T, c *client) {
	for _, salt := range []string{"", "a", "b"} {
		w := shell("cp in salted", "salted")
		w.action.Salt = []byte(salt)
		if r := c.run(c.in("salts"), c.upload(w)); r.GetCachedResult() {
			t.Errorf("salt %q: it was taken from a cache", salt)
		}
	}
}

func skips(t *testing.T, c *client) {
	act := c.upload(shell("head -c 16 /dev/urandom > out", "out"))
	first := c.ok(c.run(c.in("skips"), act))
	r := c.response(c.execute(c.in("skips"), &repb.ExecuteRequest{ActionDigest: act, SkipCacheLookup: true}))
	second := c.ok(r)
	if r.GetCachedResult() || second.GetOutputFiles()[0].GetDigest().GetHash() == first.GetOutputFiles()[0].GetDigest().GetHash() {
		t.Errorf("it was not executed: %v", r)
	}
	known, err := c.ac.GetActionResult(c.Context(), &repb.GetActionResultRequest{ActionDigest: act})
	if err != nil || known.GetOutputFiles()[0].GetDigest().GetHash() != second.GetOutputFiles()[0].GetDigest().GetHash() {
		t.Errorf("the cache has %v, %v, want that of the last execution", known, err)
	}
}
