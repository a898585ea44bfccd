package mutants

var (
	ofTwo = test{"node/reapi/execute", "TestConformanceOfTwo/demand_7"}
	known = test{"node/reapi/execute", "TestDemand8AnActionIsExecutedAndThenKnown"}
)

// REAPI v2, Execution.
var execution = []group{
	{7, "node/reapi/execute/operation.go", part("demand_7.*invalid"), []mutant{
		{"Operation.error is never set", `m.Result = &longrunningpb.Operation_Response{Response: encoded}`, `if m.Result = (&longrunningpb.Operation_Response{Response: encoded}); response.GetStatus() != nil {
		m.Result = &longrunningpb.Operation_Error{Error: response.GetStatus()}
	}`},
	}},
	{7, "node/reapi/execute/operation.go", part("demand_7.*ExecutionStage,"), []mutant{
		{"CACHE_CHECK", `stage: repb.ExecutionStage_CACHE_CHECK,`, ``},
		{"COMPLETED", `o.stage, o.response = repb.ExecutionStage_COMPLETED, r`, `o.response = r`},
		{"the worker in the metadata", `&repb.ExecutedActionMetadata{Worker: string(worker)}`, `&repb.ExecutedActionMetadata{}`},
	}},
	{7, "node/reapi/execute/operation.go", part("demand_7.*WaitExecution"), []mutant{
		{"what nobody listens to goes on for a while", `time.AfterFunc(lonely, o.cancel)`, `time.AfterFunc(0, o.cancel)`},
	}},
	{7, "node/reapi/execute/run.go", part("demand_7.*QUEUED"), []mutant{
		{"QUEUED", `o.become(repb.ExecutionStage_QUEUED, "")`, ``},
	}},
	{7, "node/reapi/execute/run.go", part("demand_7.*ExecutionStage,"), []mutant{
		{"EXECUTING", `o.become(repb.ExecutionStage_EXECUTING, by)`, `_ = by`},
	}},
	{7, "node/reapi/execute/run.go", part("demand_7.*DEADLINE"), []mutant{
		{"failures are in the status of the answer", `r.Status = fault.Of(fault.Errorf(why, "%s", d.Entry.Result.Message)).Proto()`, ``},
		{"a timeout is DEADLINE_EXCEEDED", `return codes.DeadlineExceeded`, `return codes.Internal`},
	}},
	{7, "node/reapi/execute/run.go", part("demand_7.*exit_codes"), []mutant{
		{"an exit code is no failure", `default:
		return codes.OK`, `case action.Exited:
		return codes.Aborted
	default:
		return codes.OK`},
		{"what failed is not kept", `case d.Entry.Result.OK() && !t.uncached:`, `case !t.uncached:`},
	}},
	{7, "node/reapi/execute/run.go", part("demand_7.*skip"), []mutant{
		{"skip_cache_lookup", `if !o.force {`, `if true {`},
	}},
	{7, "node/reapi/execute/run.go", known, []mutant{
		{"cached_result", `return &repb.ExecuteResponse{Result: m.Result, CachedResult: true}, nil`, `return &repb.ExecuteResponse{Result: m.Result}, nil`},
	}},
	{7, "node/reapi/execute/run.go", part("demand_7.*do_not_cache"), []mutant{
		{"do_not_cache keeps nothing", `case d.Entry.Result.OK() && !t.uncached:`, `case d.Entry.Result.OK():`},
	}},
	{7, "node/reapi/execute/run.go", part("demand_7.*invalid"), []mutant{
		{"an action that is none is INVALID_ARGUMENT", `return nil, fault.Errorf(codes.InvalidArgument, "%v", err)`, `return nil, err`},
	}},
	{7, "node/reapi/execute/outcome.go", part("demand_7.*exit_codes"), []mutant{
		{"exit_code", `r := &repb.ActionResult{ExitCode: int32(res.ExitCode)}`, `r := &repb.ActionResult{}`},
		{"stderr_digest", `if r.StderrDigest, err = s.named(ctx, res.Stderr, fn); err != nil {`, `if _, err = s.named(ctx, res.Stderr, fn); err != nil {`},
	}},
	{7, "node/reapi/execute/outcome.go", part("demand_7.*DEADLINE"), []mutant{
		{"stdout_digest", `if r.StdoutDigest, err = s.named(ctx, res.Stdout, fn); err != nil {`, `if _, err = s.named(ctx, res.Stdout, fn); err != nil {`},
	}},
	{7, "node/reapi/execute/outcome.go", part("demand_7.*ExecutionStage,"), []mutant{
		{"the worker in ExecutedActionMetadata", `Worker: string(d.Entry.Executor), VirtualExecutionDuration`, `VirtualExecutionDuration`},
		{"execution_completed_timestamp", `m.ExecutionCompletedTimestamp = stamp(t.Run)`, `m.ExecutionCompletedTimestamp = stamp(0)`},
	}},
	{7, "node/reapi/execute/outcome.go", part("demand_7.*QUEUED"), []mutant{
		{"queued_timestamp", `m.QueuedTimestamp = timestamppb.New(began)`, `m.QueuedTimestamp = timestamppb.New(ended)`},
		{"worker_start_timestamp", `m.WorkerStartTimestamp = stamp(0)`, `m.WorkerStartTimestamp = m.QueuedTimestamp`},
	}},
	{7, "node/reapi/execute/service.go", part("demand_7.*Cancel"), []mutant{
		{"who cancels gets CANCELLED", `err = fault.Errorf(codes.Canceled, "nobody waited for it, or it was cancelled")`, `err = fault.Errorf(codes.Unavailable, "nobody waited for it, or it was cancelled")`},
	}},
	{7, "node/reapi/execute/service.go", part("demand_7.*do_not_cache"), []mutant{
		{"do_not_cache shares no operation", `alone := err == nil && a.GetDoNotCache()`, `alone := err == nil && a.GetDoNotCache() && false`},
	}},
	{7, "node/reapi/execute/service.go", part("demand_7.*invalid"), []mutant{
		{"a digest that is none is INVALID_ARGUMENT", "if err != nil {\n\t\treturn fault.Status(err)\n\t}\n\tw := results.Inlining", "if err != nil {\n\t\treturn fault.Errorf(codes.Unknown, \"%v\", err)\n\t}\n\tw := results.Inlining"},
	}},
	{7, "node/reapi/execute/service.go", part("demand_7.*WaitExecution"), []mutant{
		{"WaitExecution attaches again", `return s.follow(stream.Context(), o, o.inlining, stream.Send)`, `return fault.Errorf(codes.NotFound, "%s is somebody else's", o.name)`},
	}},
	{7, "node/reapi/execute/operations.go", part("demand_7.*WaitExecution"), []mutant{
		{"an operation that is not known is NOT_FOUND", `return nil, fault.Errorf(codes.NotFound, "no operation %q is known: execute the action again", name)`, `return nil, fault.Errorf(codes.Internal, "no operation %q", name)`},
		{"an operation is known for a while after its end", `len(s.done) > 1 && (len(s.done) > maxDone || s.doneBytes > maxDoneBytes || now.Sub(s.done[0].at) > doneTime) {`, `len(s.done) > 0 {`},
	}},
	{7, "node/reapi/execute/operations.go", part("demand_7.*Cancel"), []mutant{
		{"CancelOperation", "o.cancel()\n\treturn &emptypb.Empty{}, nil", "_ = o.cancel\n\treturn &emptypb.Empty{}, nil"},
	}},
	{7, "node/reapi/execute/operations.go", ofTwo, []mutant{
		{"what is asked for twice on a node is one operation", `o != nil && !alone {`, `false {`},
	}},
	{7, "node/reapi/execute/task.go", ofTwo, []mutant{
		{"what is asked for on two nodes is executed once", `Sharing: action.Shared,`, `Sharing: action.Unshared,`},
	}},
	{7, "node/reapi/execute/task.go", part("demand_7.*do_not_cache"), []mutant{
		{"do_not_cache finds nothing", `uncached: a.GetDoNotCache()}`, `}`},
	}},
	{7, "node/reapi/execute/task.go", part("demand_7.*salt"), []mutant{
		{"salt", `if len(a.GetSalt()) > 0 {`, `if false {`},
	}},
	{7, "node/reapi/execute/task.go", part("demand_7.*DEADLINE"), []mutant{
		{"timeout", "if d == 0 {\n\t\treturn usualTime, nil\n\t}\n\treturn d, nil", "return usualTime, nil"},
	}},
	{7, "node/reapi/execute/task.go", part("demand_7.*invalid"), []mutant{
		{"a timeout that cannot be is INVALID_ARGUMENT", `if d < 0 || d > maxTime {`, `if false {`},
		{"a working directory outside is INVALID_ARGUMENT", `codes.InvalidArgument, "working directory %q`, `codes.Internal, "working directory %q`},
		{"an output outside is INVALID_ARGUMENT", `codes.InvalidArgument, "output %q is not within`, `codes.Internal, "output %q is not within`},
		{"an absolute output is INVALID_ARGUMENT", `if !action.CleanPath(p) || strings.HasPrefix(spelled, "/") {`, `if !action.CleanPath(p) {`},
	}},
	{7, "node/reapi/translate/check.go", part("demand_7.*invalid"), []mutant{
		{"an absolute link among the inputs is INVALID_ARGUMENT", `if path.IsAbs(l.GetTarget()) {`, `if false {`},
	}},
	{7, "node/reapi/execute/task.go", part("demand_7.*missing"), []mutant{
		{"what is missing is told at once", `return append(missing, more...)`, `return append(missing, more[:0]...)`},
		{"an action that is missing is told", `return absent{d}`, `return err`},
	}},
	{7, "node/reapi/execute/inputs.go", part("demand_7.*missing"), []mutant{
		{"inputs that are missing are told", `return absent(missing)`, `return absent(missing[:1])`},
	}},
	{7, "node/reapi/execute/inputs.go", part("demand_7.*invalid"), []mutant{
		{"a malformed input root is INVALID_ARGUMENT", `return fault.Errorf(codes.InvalidArgument, "input root: %v", err)`, `return fault.Errorf(codes.FailedPrecondition, "input root: %v", err)`},
	}},
	{7, "node/reapi/fault/fault.go", part("demand_7.*missing"), []mutant{
		{"missing inputs are FAILED_PRECONDITION", `status.New(codes.FailedPrecondition, fmt.Sprintf("%d blobs are missing", len(ds)))`, `status.New(codes.NotFound, fmt.Sprintf("%d blobs are missing", len(ds)))`},
		{"a violation is of the type MISSING", `Type: "MISSING",`, ``},
		{"its subject is blobs/HASH/SIZE", `Subject: names.Subject(d)}`, `Subject: d.Hex()}`},
		{"there is one for each blob", `for _, d := range ds {`, `for _, d := range ds[:1] {`},
	}},
	{7, "node/reapi/translate/check.go", part("demand_7.*invalid"), []mutant{
		{"a file called .. is INVALID_ARGUMENT", `case name == "." || name == "..":`, `case name == ".":`},
		{"a name with a slash is INVALID_ARGUMENT", `case strings.ContainsRune(name, '/'):`, `case false:`},
	}},
	{7, "node/reapi/execute/task.go", test{"node/reapi/execute", "TestDemand7ExecutionPolicyPriority"}, []mutant{
		{"priority", `Rank: float64(limits.MaxPriority - priority)}`, `Rank: float64(limits.MaxPriority)}`},
		{"the least priority is the most urgent", `Rank: float64(limits.MaxPriority - priority)}`, `Rank: float64(limits.MaxPriority + priority)}`},
	}},
}

var (
	whole    = test{"node/reapi/execute", "TestDemand8GetActionResultOfLostOutputs"}
	promised = test{"node/reapi/execute", "TestDemand8WhatAClientWasToldOfIsPromised"}
	updating = test{"node/reapi/execute", "TestConformanceOfTwo/demand_8.*Update"}
)

// REAPI v2, ActionCache.
var actionCache = []group{
	{8, "node/reapi/results/results.go", whole, []mutant{
		{"GetActionResult only when all blobs can be had", "natives, holders); err != nil {", "natives, holders); err != nil && len(holders) > 99 {"},
		{"else it is NOT_FOUND", `return nil, fmt.Errorf("result of %v: %w", k.Action, store.ErrNotFound)`, `return nil, fmt.Errorf("result of %v: %w", k.Action, errRecord)`},
	}},
	{8, "node/reapi/results/results.go", test{"node/reapi/results", "TestAResultIsFoundWhereTheSameIsInstalled"}, []mutant{
		{"they are known by the client's names", `s.opts.Blobs.Note(b.Name, b.Native); err != nil {`, `error(nil); err != nil {`},
	}},
	{8, "node/reapi/results/results.go", promised, []mutant{
		{"GetActionResult extends leases", `s.opts.Hold(natives...)`, ``},
		{"what was executed is leased", `s.opts.Hold(append(m.natives(), record)...)`, ``},
	}},
	{8, "node/reapi/results/results.go", test{"node/reapi/execute", "TestConformanceOfTwo/demand_8.*through"}, []mutant{
		{"its blobs come to the node that is asked", `return s.opts.Fetch(ctx, missing, holders)`, `return nil`},
	}},
	{8, "node/reapi/results/inline.go", part("demand_8"), []mutant{
		{"inline_stdout", `c.StdoutRaw = read(c.GetStdoutDigest())`, ``},
		{"inline_stderr", `c.StderrRaw = read(c.GetStderrDigest())`, ``},
		{"inline_output_files", `f.Contents = read(f.GetDigest())`, ``},
		{"nothing else is inlined", `if slices.Contains(w.Files, f.GetPath()) {`, `if len(w.Files) > 0 {`},
		{"no more than fits into a message", `room := int64(maxInline)`, `room := int64(64 << 20)`},
	}},
	{8, "node/reapi/results/cache.go", updating, []mutant{
		{"UpdateActionResult", `err = c.store.Upload(ctx, k, toolchains[0], m)`, `_ = toolchains`},
		{"a failure is INVALID_ARGUMENT", `if r.GetActionResult().GetExitCode() != 0 {`, `if false {`},
		{"blobs that are missing are FAILED_PRECONDITION", `return nil, fault.Missing(missing)`, `return nil, fault.Status(store.ErrNotFound)`},
	}},
	{8, "node/reapi/results/results.go", updating, []mutant{
		{"what a client brings is for its node alone", `if s.opts.ShareUploads {`, `if true {`},
	}},
	{8, "node/reapi/results/cache.go", test{"node/reapi/execute", "TestDemand8UpdateActionResultIsForWriters"}, []mutant{
		{"UpdateActionResult is for writers", `if caller.Of(ctx).Role < caller.Writer {`, `if false {`},
		{"others get PERMISSION_DENIED", `return nil, fault.Errorf(codes.PermissionDenied,`, `return nil, fault.Errorf(codes.Unauthenticated,`},
	}},
	{8, "node/front.go", test{"node/reapi/execute", "TestDemand8UpdateActionResultIsForWriters"}, []mutant{
		{"uploads: off makes everybody a builder", `o.Open = caller.Builder`, ``},
	}},
}
