package execute_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	epb "google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/buildnet/buildnet/node/nodetest"
	"github.com/buildnet/buildnet/node/reapi/names"
	"github.com/buildnet/buildnet/store/digest"
)

// TestConformance has a part for each section of remote_execution.proto that says
// what becomes of an action, under the number of the demand of clients that it is for
// (docs/reapi.md, Conformance).
func TestConformance(t *testing.T) {
	n := nodetest.Start(t, 2, "")
	for name, part := range map[string]func(*testing.T, *client){
		"demand 2: DigestFunction.BLAKE3":                               blake3,
		"demand 5: Command.output_paths, ActionResult.output_files":     outputs,
		"demand 5: Command.output_files and output_directories":         oldOutputs,
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
	nodes := nodetest.Mesh(t, 2, 2)
	for name, part := range map[string]func(*testing.T, *client, *client){
		"demand 7: identical actions in flight":                      shared,
		"demand 8: ActionCache.GetActionResult through another node": elsewhere,
		"demand 8: ActionCache.UpdateActionResult":                   updates,
	} {
		t.Run(name, func(t *testing.T) { part(t, connect(t, nodes[0]), connect(t, nodes[1])) })
	}
}

func paths(files []*repb.OutputFile) (all []string) {
	for _, f := range files {
		all = append(all, f.GetPath())
	}
	slices.Sort(all)
	return all
}

func outputs(t *testing.T, c *client) {
	w := shell("cp in a/b/deep; cp in top; chmod +x top; mkdir dir; cp in dir/x; cp in undeclared", "a/b/deep", "top", "dir", "missing")
	r := c.ok(c.run(c.in("outputs"), c.upload(w)))
	if got := paths(r.GetOutputFiles()); !slices.Equal(got, []string{"a/b/deep", "top"}) {
		t.Errorf("files %v", got)
	}
	for _, f := range r.GetOutputFiles() {
		if f.GetIsExecutable() != (f.GetPath() == "top") || c.read(f.GetDigest()) != "hello\n" {
			t.Errorf("file %v", f)
		}
	}
	if len(r.GetOutputDirectories()) != 1 || r.GetOutputDirectories()[0].GetPath() != "dir" {
		t.Errorf("directories %v", r.GetOutputDirectories())
	}
	// output_paths wins.
	w = shell("cp in old; cp in new", "new")
	w.command.OutputFiles = []string{"old"} //nolint:staticcheck // what is tested
	if got := paths(c.ok(c.run(c.in("outputs"), c.upload(w))).GetOutputFiles()); !slices.Equal(got, []string{"new"}) {
		t.Errorf("files %v", got)
	}
}

func oldOutputs(t *testing.T, c *client) {
	for name, w := range map[string]*work{
		"a directory where a file was wanted": {command: &repb.Command{OutputFiles: []string{"x"}}},
		"a file where a directory was wanted": {command: &repb.Command{OutputDirectories: []string{"x"}}},
	} {
		script := "mkdir x; cp in x/y"
		if len(w.command.GetOutputFiles()) == 0 { //nolint:staticcheck // what is tested
			script = "rmdir x; cp in x"
		}
		s := shell(script)
		s.command.OutputFiles, s.command.OutputDirectories = w.command.OutputFiles, w.command.OutputDirectories //nolint:staticcheck // what is tested
		if got := c.fails(c.run(c.in("old"), c.upload(s)), codes.FailedPrecondition); !strings.Contains(got.Message(), `"x"`) {
			t.Errorf("%s: %v", name, got)
		}
	}
	w := shell("cp in f; cp in d/g")
	w.command.OutputFiles, w.command.OutputDirectories = []string{"f"}, []string{"d"} //nolint:staticcheck // what is tested
	r := c.ok(c.run(c.in("old"), c.upload(w)))
	if len(r.GetOutputFiles()) != 1 || len(r.GetOutputDirectories()) != 1 {
		t.Errorf("result %v", r)
	}
}

//nolint:staticcheck // the old fields are what is tested
func links(t *testing.T, c *client) {
	w := shell("cp in file; ln -s file l; mkdir d; cp in d/x; ln -s d m; ln -s nowhere n", "file", "d", "l", "m", "n")
	r := c.ok(c.run(c.in("links"), c.upload(w)))
	of := func(ls []*repb.OutputSymlink) (all []string) {
		for _, l := range ls {
			all = append(all, l.GetPath()+">"+l.GetTarget())
		}
		slices.Sort(all)
		return all
	}
	if got := of(r.GetOutputSymlinks()); !slices.Equal(got, []string{"l>file", "m>d", "n>nowhere"}) {
		t.Errorf("output_symlinks %v", got)
	}
	if got := of(r.GetOutputFileSymlinks()); !slices.Equal(got, []string{"l>file", "n>nowhere"}) {
		t.Errorf("output_file_symlinks %v", got)
	}
	if got := of(r.GetOutputDirectorySymlinks()); !slices.Equal(got, []string{"m>d"}) {
		t.Errorf("output_directory_symlinks %v", got)
	}
	w = shell("cp in file; ln -s file l; rmdir m; ln -s d m")
	w.command.OutputFiles, w.command.OutputDirectories = []string{"file", "l"}, []string{"d", "m"}
	r = c.ok(c.run(c.in("links"), c.upload(w)))
	if len(r.GetOutputSymlinks()) != 0 || len(r.GetOutputFileSymlinks()) != 1 || len(r.GetOutputDirectorySymlinks()) != 1 {
		t.Errorf("by the old fields: %v", r)
	}
	w = shell("ln -s d m")
	w.command.OutputFiles, w.command.OutputDirectories = []string{"m"}, []string{"d"}
	c.fails(c.run(c.in("links"), c.upload(w)), codes.FailedPrecondition)
}

func directories(t *testing.T, c *client) {
	for format, want := range map[repb.Command_OutputDirectoryFormat][2]bool{
		repb.Command_TREE_ONLY: {true, false}, repb.Command_DIRECTORY_ONLY: {false, true}, repb.Command_TREE_AND_DIRECTORY: {true, true},
	} {
		w := shell("mkdir -p out/empty out/sub; cp in out/sub/f; chmod +x out/sub/f; ln -s sub/f out/l; : > out/none", "out")
		w.command.OutputDirectoryFormat = format
		d := c.ok(c.run(c.in("dirs"), c.upload(w))).GetOutputDirectories()[0]
		if (d.GetTreeDigest() != nil) != want[0] || (d.GetRootDirectoryDigest() != nil) != want[1] {
			t.Errorf("%v: %v", format, d)
		}
		root := &repb.Directory{}
		if want[1] {
			if err := proto.Unmarshal([]byte(c.read(d.GetRootDirectoryDigest())), root); err != nil {
				t.Fatal(err)
			}
		} else {
			var tree repb.Tree
			if err := proto.Unmarshal([]byte(c.read(d.GetTreeDigest())), &tree); err != nil {
				t.Fatal(err)
			}
			root = tree.GetRoot()
			if len(tree.GetChildren()) != 2 {
				t.Errorf("children %v", tree.GetChildren())
			}
		}
		if len(root.GetDirectories()) != 2 || len(root.GetSymlinks()) != 1 || len(root.GetFiles()) != 1 {
			t.Errorf("%v: root %v", format, root)
		}
	}
}

func places(t *testing.T, c *client) {
	w := shell("pwd; echo $NAME; cp ../in out; cp ../in ../up", "out", "../up")
	w.command.WorkingDirectory = "work"
	w.command.EnvironmentVariables = []*repb.Command_EnvironmentVariable{{Name: "NAME", Value: "said"}}
	r := c.ok(c.run(c.in("places"), c.upload(w)))
	if got := paths(r.GetOutputFiles()); !slices.Equal(got, []string{"../up", "out"}) {
		t.Errorf("files %v", got)
	}
	if got := c.read(r.GetStdoutDigest()); !strings.Contains(got, "/work\nsaid\n") {
		t.Errorf("printed %q", got)
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
	for _, pair := range [][]string{{"OSFamily", "Windows"}, {"gpu", "two"}, {"sandbox", "none"}} {
		w := shell("cp in out", "out")
		w.action.Platform = said(pair...)
		if got := c.fails(c.run(c.in("platform"), c.upload(w)), codes.FailedPrecondition); !strings.Contains(got.Message(), pair[0]) {
			t.Errorf("%v: %v", pair, got)
		}
	}
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
	w := shell("echo begun; exec sleep 600", "out")
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
	c.put([]byte("never uploaded"))
	c.put([]byte("nor this"))
	c.ok(c.run(c.in("missing"), act))

	w.action.CommandDigest = of("no command")
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
		"no command":        func(w *work) { w.command.Arguments = nil },
		"output outside":    func(w *work) { w.command.OutputPaths = []string{"../out"} },
		"absolute output":   func(w *work) { w.command.OutputPaths = []string{"/out"} },
		"directory outside": func(w *work) { w.command.WorkingDirectory = "../x" },
		"negative timeout":  func(w *work) { w.action.Timeout = durationpb.New(-1e9) },
		"timeout of a year": func(w *work) { w.action.Timeout = durationpb.New(365 * 24 * 3600e9) },
		"a variable twice": func(w *work) {
			w.command.EnvironmentVariables = []*repb.Command_EnvironmentVariable{{Name: "A"}, {Name: "A"}}
		},
		"a file called ..":     func(w *work) { w.files[".."] = "x" },
		"a file with a slash ": func(w *work) { w.files["a/b"] = "x" },
	} {
		w := shell("cp in out", "out")
		change(w)
		if got := status.FromProto(c.run(c.in("invalid"), c.upload(w)).GetStatus()); got.Code() != codes.InvalidArgument {
			t.Errorf("%s: %v", name, got)
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

func waits(t *testing.T, c *client) {
	act := c.upload(shell("sleep 1; cp in out", "out"))
	first, err := c.exec.Execute(c.in("waits"), &repb.ExecuteRequest{ActionDigest: act})
	if err != nil {
		t.Fatal(err)
	}
	o, err := first.Recv()
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.exec.WaitExecution(c.Context(), &repb.WaitExecutionRequest{Name: o.GetName()})
	if err != nil {
		t.Fatal(err)
	}
	ops, err := all(again)
	if err != nil {
		t.Fatal(err)
	}
	c.ok(c.response(ops))
	// It is remembered for a while.
	if again, err = c.exec.WaitExecution(c.Context(), &repb.WaitExecutionRequest{Name: o.GetName()}); err == nil {
		ops, err = all(again)
	}
	if err != nil || len(ops) != 1 {
		t.Errorf("after its end: %v, %v", ops, err)
	}
	if got, err := c.ops.GetOperation(c.Context(), &longrunningpb.GetOperationRequest{Name: o.GetName()}); err != nil || !got.GetDone() {
		t.Errorf("operation %v, %v", got, err)
	}
	if again, err = c.exec.WaitExecution(c.Context(), &repb.WaitExecutionRequest{Name: "operations/unknown"}); err == nil {
		_, err = all(again)
	}
	if status.Code(err) != codes.NotFound {
		t.Errorf("an unknown operation: %v", err)
	}
}

func stages(t *testing.T, c *client) {
	ops := c.execute(c.in("stages"), &repb.ExecuteRequest{ActionDigest: c.upload(shell("sleep 1; cp in staged", "staged"))})
	var seen []repb.ExecutionStage_Value
	workers := map[string]bool{}
	for _, o := range ops {
		var m repb.ExecuteOperationMetadata
		if err := o.GetMetadata().UnmarshalTo(&m); err != nil {
			t.Fatal(err)
		}
		seen = append(seen, m.GetStage())
		if w := m.GetPartialExecutionMetadata().GetWorker(); w != "" {
			workers[w] = true
		}
	}
	if !slices.IsSorted(seen) || !slices.Contains(seen, repb.ExecutionStage_EXECUTING) || seen[len(seen)-1] != repb.ExecutionStage_COMPLETED {
		t.Errorf("stages %v", seen)
	}
	m := c.ok(c.response(ops)).GetExecutionMetadata()
	if !workers[m.GetWorker()] {
		t.Errorf("worker %q, was one of %v", m.GetWorker(), workers)
	}
	at := m.GetQueuedTimestamp().AsTime()
	for i, stamp := range []int64{
		m.GetWorkerStartTimestamp().AsTime().UnixNano(), m.GetInputFetchStartTimestamp().AsTime().UnixNano(), m.GetInputFetchCompletedTimestamp().AsTime().UnixNano(),
		m.GetExecutionStartTimestamp().AsTime().UnixNano(), m.GetExecutionCompletedTimestamp().AsTime().UnixNano(), m.GetWorkerCompletedTimestamp().AsTime().UnixNano(),
	} {
		if stamp < at.UnixNano() {
			t.Errorf("stamp %d of %v is before the one before it", i, m)
		}
		at = time.Unix(0, stamp)
	}
	if m.GetExecutionCompletedTimestamp().AsTime().Sub(m.GetExecutionStartTimestamp().AsTime()) < 1e9 {
		t.Errorf("it ran for a second: %v", m)
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

func cancels(t *testing.T, c *client) {
	stream, err := c.exec.Execute(c.in("cancels"), &repb.ExecuteRequest{ActionDigest: c.upload(shell("exec sleep 600"))})
	if err != nil {
		t.Fatal(err)
	}
	o, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.ops.CancelOperation(c.Context(), &longrunningpb.CancelOperationRequest{Name: o.GetName()}); err != nil {
		t.Fatal(err)
	}
	ops, err := all(stream)
	if err != nil {
		t.Fatal(err)
	}
	c.fails(c.response(ops), codes.Canceled)
}
