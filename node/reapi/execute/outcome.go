package execute

import (
	"context"
	"fmt"
	"path"
	"strings"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/buildnet/buildnet/node/reapi/fault"
	"github.com/buildnet/buildnet/node/reapi/names"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/sched/steal"
	"github.com/buildnet/buildnet/store/digest"
)

// result is what came of a task in the client's names. All that it names is here.
func (s *Service) result(ctx context.Context, t *task, fn digest.Function, res *action.Result) (*repb.ActionResult, error) {
	r := &repb.ActionResult{ExitCode: int32(res.ExitCode)}
	var err error
	if r.StdoutDigest, err = s.named(ctx, res.Stdout, fn); err != nil {
		return nil, fmt.Errorf("standard output: %w", err)
	}
	if r.StderrDigest, err = s.named(ctx, res.Stderr, fn); err != nil {
		return nil, fmt.Errorf("standard error: %w", err)
	}
	for i := range res.Outputs {
		for _, as := range t.outputs[res.Outputs[i].Path] {
			if err := s.output(ctx, t, fn, res, &res.Outputs[i], as, r); err != nil {
				return nil, err
			}
		}
	}
	return r, nil
}

// named is a native blob as the client calls it; nil of nothing.
func (s *Service) named(ctx context.Context, d digest.Digest, fn digest.Function) (*repb.Digest, error) {
	if d.IsZero() {
		return nil, nil
	}
	n, err := s.opts.Blobs.Name(ctx, d, fn)
	if err != nil {
		return nil, err
	}
	return names.Message(n), nil
}

// output adds an output to r under one of the names that the client gave it.
func (s *Service) output(ctx context.Context, t *task, fn digest.Function, res *action.Result, o *action.Output, as output, r *repb.ActionResult) error {
	switch o.Kind {
	case action.File:
		if as.as == asDirectory {
			return wrongKind(as.spelled, "a directory", "a file")
		}
		d, err := s.named(ctx, o.Digest, fn)
		if err != nil {
			return fmt.Errorf("output %q: %w", as.spelled, err)
		}
		r.OutputFiles = append(r.OutputFiles, &repb.OutputFile{Path: as.spelled, Digest: d, IsExecutable: o.Executable, NodeProperties: o.Properties.Message()})
	case action.Directory:
		if as.as == asFile {
			return wrongKind(as.spelled, "a file", "a directory")
		}
		return s.directory(ctx, t, fn, o, as, r)
	case action.Symlink:
		return link(res, o, as, r)
	}
	return nil
}

// wrongKind is of outputs in the two older fields, which say what they are
// (remote_execution.proto, ActionResult.output_files and output_directories).
func wrongKind(spelled, want, got string) error {
	return fault.Errorf(codes.FailedPrecondition, "output %q is declared as %s, and the command made %s", spelled, want, got)
}

func (s *Service) directory(ctx context.Context, t *task, fn digest.Function, o *action.Output, as output, r *repb.ActionResult) error {
	tree, err := s.opts.Trees.Tree(ctx, o.Digest, fn)
	if err != nil {
		return fmt.Errorf("output %q: %w", as.spelled, err)
	}
	d := &repb.OutputDirectory{Path: as.spelled}
	format := t.command.GetOutputDirectoryFormat()
	if format != repb.Command_DIRECTORY_ONLY {
		d.TreeDigest, d.IsTopologicallySorted = names.Message(tree.Tree), true
	}
	if format != repb.Command_TREE_ONLY {
		d.RootDirectoryDigest = names.Message(tree.Root)
	}
	r.OutputDirectories = append(r.OutputDirectories, d)
	return nil
}

// link adds a symlink to the new field and to one of the two old ones: Bazel 4 and
// remote-apis-sdks read those alone.
//
//nolint:staticcheck // the old fields
func link(res *action.Result, o *action.Output, as output, r *repb.ActionResult) error {
	l := &repb.OutputSymlink{Path: as.spelled, Target: o.Target, NodeProperties: o.Properties.Message()}
	directory := leadsToDirectory(res, o)
	switch as.as {
	case asPath:
		r.OutputSymlinks = append(r.OutputSymlinks, l)
	case asFile:
		if directory {
			return wrongKind(as.spelled, "a file", "a link to a directory")
		}
	case asDirectory:
		directory = true
	}
	if directory {
		r.OutputDirectorySymlinks = append(r.OutputDirectorySymlinks, l)
	} else {
		r.OutputFileSymlinks = append(r.OutputFileSymlinks, l)
	}
	return nil
}

// leadsToDirectory reports whether a link leads to an output that is a directory, or
// to where outputs lie.
func leadsToDirectory(res *action.Result, o *action.Output) bool {
	to := path.Join(path.Dir(o.Path), o.Target)
	for i := range res.Outputs {
		other := &res.Outputs[i]
		if other.Path == to {
			return other.Kind == action.Directory
		}
		if to == "." || strings.HasPrefix(other.Path, to+"/") {
			return true
		}
	}
	return false
}

// executed is when what was done: the worker says how long each part took, and this node
// saw the beginning and the end. Of what was known before only the run's length is.
func executed(d *steal.Done, began, ended time.Time) *repb.ExecutedActionMetadata {
	m := &repb.ExecutedActionMetadata{
		Worker: string(d.Entry.Executor), VirtualExecutionDuration: durationpb.New(d.Entry.Result.Wall),
	}
	if d.How != steal.Executed {
		return m
	}
	t := d.Timings
	at := ended.Add(-t.Fetch - t.Run - t.Upload)
	if at.Before(began) {
		at = began
	}
	stamp := func(more time.Duration) *timestamppb.Timestamp {
		at = at.Add(more)
		return timestamppb.New(at)
	}
	m.QueuedTimestamp = timestamppb.New(began)
	m.WorkerStartTimestamp = stamp(0)
	m.InputFetchStartTimestamp = m.WorkerStartTimestamp
	m.InputFetchCompletedTimestamp = stamp(t.Fetch)
	m.ExecutionStartTimestamp = m.InputFetchCompletedTimestamp
	m.ExecutionCompletedTimestamp = stamp(t.Run)
	m.OutputUploadStartTimestamp = m.ExecutionCompletedTimestamp
	m.OutputUploadCompletedTimestamp = stamp(t.Upload)
	m.WorkerCompletedTimestamp = m.OutputUploadCompletedTimestamp
	return m
}
