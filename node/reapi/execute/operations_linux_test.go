package execute_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// begun is an execution that goes on.
type begun struct {
	*client
	name   string
	seen   []*longrunningpb.Operation
	stream repb.Execution_ExecuteClient
}

// begin executes an action, and returns when it has come to a stage.
func (c *client) begin(r *repb.ExecuteRequest, stage repb.ExecutionStage_Value) *begun {
	c.Helper()
	stream, err := c.exec.Execute(c.in("begun"), r)
	if err != nil {
		c.Fatal(err)
	}
	b := &begun{client: c, stream: stream}
	for {
		o, err := stream.Recv()
		if err != nil {
			c.Fatalf("until %v: %v, after %v", stage, err, b.seen)
		}
		b.name, b.seen = o.GetName(), append(b.seen, o)
		if is := metadataOf(c, o).GetStage(); is >= stage {
			if is > stage {
				c.Errorf("it is %v, and never was %v", is, stage)
			}
			return b
		}
	}
}

// end is what comes of it.
func (b *begun) end() *repb.ExecuteResponse {
	b.Helper()
	ops, err := all(b.stream)
	if err != nil {
		b.Fatal(err)
	}
	return b.response(append(b.seen, ops...))
}

// cancelled ends it at once.
func (b *begun) cancelled() {
	b.Helper()
	if _, err := b.ops.CancelOperation(b.Context(), &longrunningpb.CancelOperationRequest{Name: b.name}); err != nil {
		b.Fatal(err)
	}
	b.fails(b.end(), codes.Canceled)
}

// queues has an action wait while others have all slots.
func queues(t *testing.T, c *client) {
	var others []*begun
	for i := range 2 {
		act := c.upload(shell(fmt.Sprintf("exec sleep 60%d", i)))
		others = append(others, c.begin(&repb.ExecuteRequest{ActionDigest: act}, repb.ExecutionStage_EXECUTING))
	}
	waiting := c.begin(&repb.ExecuteRequest{ActionDigest: c.upload(shell("cp in queued", "queued"))}, repb.ExecutionStage_QUEUED)
	at := time.Now()
	for _, other := range others {
		other.cancelled()
	}
	m := c.ok(waiting.end()).GetExecutionMetadata()
	if m.GetQueuedTimestamp().AsTime().After(at) || m.GetWorkerStartTimestamp().AsTime().Before(at) {
		t.Errorf("it was queued at %v, and began at %v; slots were free at %v", m.GetQueuedTimestamp().AsTime(), m.GetWorkerStartTimestamp().AsTime(), at)
	}
}

// REAPI v2, ExecutionPolicy.priority: what is more urgent overtakes what waits.
func TestDemand7ExecutionPolicyPriority(t *testing.T) {
	c := connect(t, one(t, 1))
	begin := func(script string, priority int32, stage repb.ExecutionStage_Value) *begun {
		act := c.upload(shell(script))
		return c.begin(&repb.ExecuteRequest{ActionDigest: act, ExecutionPolicy: &repb.ExecutionPolicy{Priority: priority}}, stage)
	}
	first := begin("exec sleep 600", 0, repb.ExecutionStage_EXECUTING)
	var patient []*begun
	for i := range 8 {
		patient = append(patient, begin(fmt.Sprintf("echo %d", i), 1000, repb.ExecutionStage_QUEUED))
	}
	urgent := begin("echo urgent", -1000, repb.ExecutionStage_QUEUED)
	first.cancelled()
	started := func(b *begun) time.Time {
		return c.ok(b.end()).GetExecutionMetadata().GetExecutionStartTimestamp().AsTime()
	}
	at := started(urgent)
	later := 0
	for _, p := range patient {
		if at.Before(started(p)) {
			later++
		}
	}
	// One or two may not have been in the queue when the slot became free.
	if later <= len(patient)/2 {
		t.Errorf("what is urgent began before %d of the %d that are not", later, len(patient))
	}
}

func waits(t *testing.T, c *client) {
	begun := func(script string) (*longrunningpb.Operation, context.CancelFunc) {
		ctx, cut := context.WithCancel(c.in("waits"))
		first, err := c.exec.Execute(ctx, &repb.ExecuteRequest{ActionDigest: c.upload(shell(script, "out"))})
		if err != nil {
			t.Fatal(err)
		}
		o, err := first.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return o, cut
	}
	o, cut := begun("sleep 1; cp in out")
	defer cut()
	again, err := c.exec.WaitExecution(c.Context(), &repb.WaitExecutionRequest{Name: o.GetName()})
	if err != nil {
		t.Fatal(err)
	}
	ops, err := all(again)
	if err != nil {
		t.Fatal(err)
	}
	c.ok(c.response(ops))
	// One whose client's connection broke goes on.
	left, cut := begun("sleep 1; cp in out; echo left")
	cut()
	for !left.GetDone() {
		if left, err = c.ops.GetOperation(c.Context(), &longrunningpb.GetOperationRequest{Name: left.GetName()}); err != nil {
			t.Fatal(err)
		}
	}
	c.ok(c.response([]*longrunningpb.Operation{left}))
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

func metadataOf(t testing.TB, o *longrunningpb.Operation) *repb.ExecuteOperationMetadata {
	t.Helper()
	var m repb.ExecuteOperationMetadata
	if err := o.GetMetadata().UnmarshalTo(&m); err != nil {
		t.Fatal(err)
	}
	return &m
}

func stagesOf(t *testing.T, ops []*longrunningpb.Operation) (seen []repb.ExecutionStage_Value) {
	t.Helper()
	for _, o := range ops {
		seen = append(seen, metadataOf(t, o).GetStage())
	}
	return seen
}

func stages(t *testing.T, c *client) {
	ops := c.execute(c.in("stages"), &repb.ExecuteRequest{ActionDigest: c.upload(shell("sleep 1; cp in staged", "staged"))})
	workers := map[string]bool{}
	for _, o := range ops {
		if w := metadataOf(t, o).GetPartialExecutionMetadata().GetWorker(); w != "" {
			workers[w] = true
		}
	}
	seen := stagesOf(t, ops)
	if !slices.IsSorted(seen) || seen[0] == repb.ExecutionStage_UNKNOWN || !slices.Contains(seen, repb.ExecutionStage_EXECUTING) || seen[len(seen)-1] != repb.ExecutionStage_COMPLETED {
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
