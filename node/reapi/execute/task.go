package execute

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/node/reapi/fault"
	"github.com/buildnet/buildnet/node/reapi/invocations"
	"github.com/buildnet/buildnet/node/reapi/limits"
	"github.com/buildnet/buildnet/node/reapi/names"
	"github.com/buildnet/buildnet/node/reapi/platform"
	"github.com/buildnet/buildnet/node/reapi/results"
	"github.com/buildnet/buildnet/node/reapi/room"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

const (
	// An Action is small; a Command is as large as a step may be. In bytes.
	maxAction, maxCommand = 1 << 20, action.MaxFlatBytes
	// maxTime is the longest that an action may ask for; usualTime is what one gets
	// that does not ask.
	maxTime, usualTime = 24 * time.Hour, time.Hour
)

// listing is how a client named an output.
type listing uint8

const (
	asPath listing = iota + 1
	asFile
	asDirectory
)

// output is one in the client's words.
type output struct {
	spelled string
	as      listing
}

// task is a client's action, read and checked, and the step that it becomes.
type task struct {
	command   *repb.Command
	step      action.Step
	ask       invocations.Ask
	toolchain string              // "" if the programs are inputs
	outputs   map[string][]output // by paths from the root
	whole     bool                // the input root is an output: it lies in a directory wholeRoot
	image     string              // was asked for, and is not run
	uncached  bool
}

// absent are blobs that a client has to upload before its action can be executed.
type absent []digest.Digest

// Error implements error.
func (a absent) Error() string { return a.GRPCStatus().Message() }

// GRPCStatus is what the client gets.
func (a absent) GRPCStatus() *status.Status { return status.Convert(fault.Missing(a)) }

// Missing are the blobs.
func (a absent) Missing() []digest.Digest { return a }

// action reads a client's action.
func (s *Service) action(ctx context.Context, d digest.Digest) (*repb.Action, error) {
	var a repb.Action
	return &a, s.read(ctx, d, maxAction, &a)
}

// read reads a message of a client, from wherever it is.
func (s *Service) read(ctx context.Context, d digest.Digest, limit int64, m proto.Message) error {
	content, err := store.ReadAll(ctx, s.opts.Blobs, d, limit)
	if errors.Is(err, store.ErrNotFound) {
		if s.opts.Fetch(ctx, []digest.Digest{d}) != nil {
			return absent{d}
		}
		content, err = store.ReadAll(ctx, s.opts.Blobs, d, limit)
	}
	if err != nil {
		return err
	}
	takes, ok := limits.Decoded(m.ProtoReflect().Descriptor(), content)
	if !ok {
		return fault.Errorf(codes.InvalidArgument, "%v takes more than %d bytes in memory", d, limits.MaxDecodedBytes)
	}
	release, err := room.Take(ctx, takes)
	if err != nil {
		return err
	}
	defer release()
	if err := proto.Unmarshal(content, m); err != nil {
		return fault.Errorf(codes.InvalidArgument, "%v is no %s: %v", d, m.ProtoReflect().Descriptor().Name(), err)
	}
	return nil
}

// task reads the action of an operation and makes the step of it, which is not
// named yet.
func (s *Service) task(ctx context.Context, o *operation, priority int32) (*task, error) {
	a, err := s.action(ctx, o.key.Action)
	if err != nil {
		return nil, err
	}
	fn := o.key.Action.Function()
	cd, err := names.Digest(fn, a.GetCommandDigest())
	if err != nil {
		return nil, fmt.Errorf("command of action: %w", err)
	}
	root, err := names.Digest(fn, a.GetInputRootDigest())
	if err != nil {
		return nil, fmt.Errorf("input root of action: %w", err)
	}
	t := &task{command: &repb.Command{}, outputs: map[string][]output{}, uncached: a.GetDoNotCache()}
	if err := s.read(ctx, cd, maxCommand, t.command); err != nil {
		return nil, s.alsoMissing(ctx, root, err)
	}
	t.step = action.Step{Argv: t.command.GetArguments(), Reach: action.Anywhere, Sharing: action.Shared, Rank: float64(limits.MaxPriority - priority)}
	t.step.Rank = min(max(t.step.Rank, 0), limits.MaxPriority-limits.MinPriority)
	if t.uncached {
		t.step.Sharing = action.Unshared
	}
	if err := t.places(); err != nil {
		return nil, err
	}
	if t.step.Timeout, err = timeout(a); err != nil {
		return nil, err
	}
	if err := s.properties(ctx, t, a); err != nil {
		return nil, err
	}
	return t, s.inputs(ctx, o, t, root)
}

// alsoMissing adds to a command that is missing what of the inputs is, so that the
// client uploads all at once.
func (s *Service) alsoMissing(ctx context.Context, root digest.Digest, err error) error {
	var missing absent
	if !errors.As(err, &missing) {
		return err
	}
	_, more, rootErr := s.opts.Trees.Root(ctx, root)
	if rootErr != nil {
		return err
	}
	return append(missing, more...)
}

// places are the working directory and the outputs, as paths from the root.
func (t *task) places() error {
	dir := path.Clean(t.command.GetWorkingDirectory())
	if dir == "." {
		dir = ""
	}
	if dir != "" && !action.CleanPath(dir) {
		return fault.Errorf(codes.InvalidArgument, "working directory %q is not within the input root", t.command.GetWorkingDirectory())
	}
	t.step.Dir = dir
	lists := map[listing][]string{asPath: t.command.GetOutputPaths()}
	if len(lists[asPath]) == 0 {
		//nolint:staticcheck // clients of REAPI 2.0 name their outputs in the two older fields
		lists[asFile], lists[asDirectory] = t.command.GetOutputFiles(), t.command.GetOutputDirectories()
	}
	for _, as := range []listing{asPath, asFile, asDirectory} {
		for _, spelled := range lists[as] {
			p := path.Join(dir, spelled)
			if p == "" {
				t.whole = true
			} else if !action.CleanPath(p) || strings.HasPrefix(spelled, "/") {
				return fault.Errorf(codes.InvalidArgument, "output %q is not within the input root", spelled)
			}
			t.outputs[p] = append(t.outputs[p], output{spelled, as})
			t.step.Outputs = append(t.step.Outputs, p)
		}
	}
	if t.whole {
		t.lower()
	}
	slices.Sort(t.step.Outputs)
	t.step.Outputs = slices.Compact(t.step.Outputs)
	return nil
}

// spelled are the outputs in the client's words.
func (t *task) spelled() []string {
	all := make([]string, 0, len(t.outputs))
	for _, names := range t.outputs {
		for _, o := range names {
			all = append(all, path.Clean(o.spelled))
		}
	}
	return all
}

// wholeRoot is the directory of the input root, where that is an output as a whole.
const wholeRoot = "root"

// lower has the command run in wholeRoot: the outputs of a step have names
// (remote_execution.proto, Command.output_directories: the empty string is allowed).
func (t *task) lower() {
	lowered := make(map[string][]output, len(t.outputs))
	for p, as := range t.outputs {
		lowered[path.Join(wholeRoot, p)] = as
	}
	for i, p := range t.step.Outputs {
		t.step.Outputs[i] = path.Join(wholeRoot, p)
	}
	t.outputs, t.step.Dir = lowered, wholeRoot
}

func timeout(a *repb.Action) (time.Duration, error) {
	if a.GetTimeout() == nil {
		return usualTime, nil
	}
	d := a.GetTimeout().AsDuration()
	if d < 0 || d > maxTime {
		return 0, fault.Errorf(codes.InvalidArgument, "a timeout of %v is not between 0 and %v", d, maxTime)
	}
	if d == 0 {
		return usualTime, nil
	}
	return d, nil
}

// properties are the environment, and what is said of the machine.
func (s *Service) properties(ctx context.Context, t *task, a *repb.Action) error {
	for _, v := range t.command.GetEnvironmentVariables() {
		t.step.Env = append(t.step.Env, action.Property{Name: v.GetName(), Value: v.GetValue()})
	}
	sortProperties(t.step.Env)
	w, err := s.platform(a, t.command)
	if err != nil {
		return fault.Errorf(codes.FailedPrecondition, "%v", err)
	}
	t.image = w.Image
	t.step.Platform = append(slices.Clip(w.Native),
		action.Property{Name: action.PropertyOutputs, Value: action.OutputsOptional},
		action.Property{Name: action.PropertyStreams, Value: action.StreamsApart})
	if names := t.command.GetOutputNodeProperties(); len(names) > 0 {
		wanted, err := action.WantedOf(names)
		if err != nil {
			return fault.Errorf(codes.InvalidArgument, "output_node_properties: %v", err)
		}
		t.step.Platform = append(t.step.Platform, action.Property{Name: action.PropertyNodeProperties, Value: wanted.String()})
	}
	if len(a.GetSalt()) > 0 {
		t.step.Platform = append(t.step.Platform, action.Property{Name: "salt", Value: hex.EncodeToString(a.GetSalt())})
	}
	if !w.Inputs {
		spec, d, err := s.opts.Toolchain(ctx, t.step.Argv)
		if err != nil {
			return fmt.Errorf("what is installed here: %w", err)
		}
		t.toolchain = d
		t.step.Platform = append(t.step.Platform,
			action.Property{Name: action.PropertyToolchain, Value: d}, action.Property{Name: action.PropertyToolchainSpec, Value: spec})
	}
	sortProperties(t.step.Platform)
	return nil
}

// platform reads what a client says of the machine.
func (s *Service) platform(a *repb.Action, c *repb.Command) (platform.Wishes, error) {
	said := a.GetPlatform()
	if said == nil {
		said = c.GetPlatform() //nolint:staticcheck // clients of REAPI 2.1 and before have it here alone
	}
	return platform.Read(s.opts.Machine, said)
}

// lookUp looks for the result of an action: where its messages are here, as is usual, of
// the programs that it runs alone.
func (s *Service) lookUp(ctx context.Context, k results.Key) (*results.Made, error) {
	if t, ok := s.programs(ctx, k.Action); ok {
		return s.opts.Results.FindOf(ctx, k, t)
	}
	return s.opts.Results.Find(ctx, k)
}

// programs is the toolchain of an action, "" if that lies among its inputs. It is not
// ok if what says so is not here, or is wrong.
func (s *Service) programs(ctx context.Context, d digest.Digest) (toolchain string, ok bool) {
	var a repb.Action
	var c repb.Command
	if s.readHere(ctx, d, maxAction, &a) != nil {
		return "", false
	}
	cd, err := names.Digest(d.Function(), a.GetCommandDigest())
	if err != nil || s.readHere(ctx, cd, maxCommand, &c) != nil {
		return "", false
	}
	w, err := s.platform(&a, &c)
	if err != nil || w.Inputs {
		return "", err == nil
	}
	_, toolchain, err = s.opts.Toolchain(ctx, c.GetArguments())
	return toolchain, err == nil
}

func (s *Service) readHere(ctx context.Context, d digest.Digest, limit int64, m proto.Message) error {
	content, err := store.ReadAll(ctx, s.opts.Blobs, d, limit)
	if err != nil {
		return err
	}
	return proto.Unmarshal(content, m)
}

func sortProperties(ps []action.Property) {
	slices.SortFunc(ps, func(a, b action.Property) int { return strings.Compare(a.Name, b.Name) })
}
