package mutants

var (
	calls   = test{"node/reapi", "TestDemand10"}
	history = test{"node/reapi/execute", "TestDemand10"}
)

// What holds for every call.
var server = []group{
	{10, "node/reapi/caller/caller.go", history, []mutant{
		{"requestmetadata-bin", `metadata.ValueFromIncomingContext(ctx, metadataHeader)`, `metadata.ValueFromIncomingContext(ctx, "x-"+metadataHeader)`},
	}},
	{10, "node/reapi/invocations/book.go", history, []mutant{
		{"one build for each tool_invocation_id", `key := said.GetToolInvocationId()`, `key := "" + said.GetTargetId()`},
	}},
	{10, "node/reapi/call.go", test{"node/reapi", "TestDemand10Deadlines"}, []mutant{
		{"a client's deadline ends its call", `ctx, end := context.WithCancelCause(ctx)`, `ctx, end := context.WithCancelCause(context.WithoutCancel(ctx))`},
	}},
	{10, "node/reapi/call.go", calls, []mutant{
		{"too many calls are RESOURCE_EXHAUSTED", `return nil, errCrowd`, `return nil, context.Canceled`},
		{"a client that is silent from the first gets DEADLINE_EXCEEDED", `time.AfterFunc(patience, func() { end(context.DeadlineExceeded) })`, `time.AfterFunc(patience, func() { end(context.Canceled) })`},
	}},
	{10, "node/reapi/patience.go", calls, []mutant{
		{"a client that is silent later on does too", "c.timer.Reset(patience)\n\tdefer c.timer.Stop()\n\tif n, ok", "defer c.timer.Stop()\n\tif n, ok"},
		{"a call that has had its message may take long", "defer c.timer.Stop()\n\tif n, ok", "if n, ok"},
	}},
	{10, "node/reapi/server.go", calls, []mutant{
		{"clients may ask often whether the server is there", `grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: minPing, PermitWithoutStream: true}),`, ``},
		{"a client that is gone is noticed", `grpc.KeepaliveParams(keepalive.ServerParameters{Time: pingTime, Timeout: pongTime}),`, ``},
		{"calls of one connection are bounded", `grpc.MaxConcurrentStreams(maxStreams),`, ``},
		{"TLS", `creds.TransportCredentials = credentials.NewTLS(o.TLS)`, ``},
		{"what exposes this machine is refused", "if err := o.check(); err != nil {\n\t\treturn nil, err\n\t}", ""},
	}},
	{10, "node/reapi/options.go", calls, []mutant{
		{"an address that others reach needs TLS", `(o.TLS == nil || len(o.Keys) == 0)`, `len(o.Keys) == 0`},
		{"an address that others reach needs keys", `(o.TLS == nil || len(o.Keys) == 0)`, `o.TLS == nil`},
		{"a name may resolve to such an address", `|| host == "localhost"`, `|| host != ""`},
		{"this machine's own addresses need neither", `err == nil && ip.Unmap().IsLoopback() ||`, `err == nil && false && ip.IsLoopback() ||`},
		{"a short secret is refused", `if len(k.Secret) < minSecretBytes {`, `if false {`},
		{"a key without a role is refused", `if k.Role != caller.Builder && k.Role != caller.Writer {`, `if false {`},
	}},
	{10, "node/reapi/door.go", calls, []mutant{
		{"who has no key gets UNAUTHENTICATED", `return nil, status.Error(codes.Unauthenticated,`, `return nil, status.Error(codes.Unavailable,`},
		{"who has another key does too", `if who, ok := d.keys[sha256.Sum256([]byte(secret))]; ok {`, `if who, ok := d.keys[sha256.Sum256([]byte(secret))]; ok || true {`},
		{"x-api-key", `secrets := header.Get("x-api-key")`, `secrets := header.Get("x-key")`},
		{"authorization: Bearer", `secrets = append(secrets, secret)`, `_ = secret`},
		{"no other scheme", `strings.EqualFold(scheme, "bearer")`, `scheme != ""`},
		{"a key has a role", `caller.Caller{Name: k.Name, Role: k.Role}`, `caller.Caller{Name: k.Name, Role: caller.Builder}`},
		{"health needs no key", `if !ok && !strings.HasPrefix(call.FullMethodName, "/"+healthpb.Health_ServiceDesc.ServiceName+"/") {`, `if !ok {`},
	}},
}
