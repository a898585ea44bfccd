package action

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/buildnet/buildnet/store/digest"
)

// Assembled is a step made into a REAPI action.
type Assembled struct {
	// Action is the digest of the Action message: the key of its result.
	Action    digest.Digest
	InputRoot digest.Digest
	// Blobs are the messages that an executor needs and that the sources of
	// the step do not hold yet: directories, the Command, the Action last.
	Blobs []Blob
}

// Assemble makes the action of s. results holds what its dependencies made;
// source holds the Directory messages of s.Inputs and of the outputs that are
// directories. Two steps with the same command, environment, platform and
// input contents become the same action, whatever their names and wherever
// their project lies.
func Assemble(ctx context.Context, s *Step, results map[StepID]*Result, source Directories) (*Assembled, error) {
	tree, err := inputs(ctx, s, results, source)
	if err != nil {
		return nil, fmt.Errorf("assemble %s: %w", s.ID, err)
	}
	// The root is among the messages in any case.
	if err := tree.Mkdir(ctx, s.Dir); err != nil {
		return nil, fmt.Errorf("assemble %s: %w", s.ID, err)
	}
	return s.assembled(tree)
}

// Name returns the digest of the action that Assemble makes, for those who need
// nothing else of it: a directory that nothing is put into is not read.
func Name(ctx context.Context, s *Step, results map[StepID]*Result, source Directories) (digest.Digest, error) {
	tree, err := inputs(ctx, s, results, source)
	if err == nil && s.Dir != "" {
		err = tree.Mkdir(ctx, s.Dir)
	}
	if err != nil {
		return digest.Digest{}, fmt.Errorf("name the action of %s: %w", s.ID, err)
	}
	a, err := s.assembled(tree)
	if err != nil {
		return digest.Digest{}, err
	}
	return a.Action, nil
}

func (s *Step) assembled(tree *Tree) (*Assembled, error) {
	root, blobs, err := tree.Encode()
	if err != nil {
		return nil, fmt.Errorf("assemble %s: %w", s.ID, err)
	}
	platform := platformMessage(s.Platform)
	command, err := EncodeBlob(s.command(platform))
	if err != nil {
		return nil, fmt.Errorf("assemble %s: %w", s.ID, err)
	}
	action, err := EncodeBlob(&repb.Action{
		CommandDigest:   ReapiDigest(command.Digest),
		InputRootDigest: ReapiDigest(root),
		Timeout:         durationpb.New(s.Timeout),
		DoNotCache:      s.Sharing == Unshared,
		Platform:        platform,
	})
	if err != nil {
		return nil, fmt.Errorf("assemble %s: %w", s.ID, err)
	}
	return &Assembled{Action: action.Digest, InputRoot: root, Blobs: append(blobs, command, action)}, nil
}

// inputs is the tree of a step's sources and of what it reads of results.
func inputs(ctx context.Context, s *Step, results map[StepID]*Result, source Directories) (*Tree, error) {
	tree := NewTree(source, s.Inputs)
	for _, d := range s.Deps {
		r, ok := results[d.Step]
		if !ok {
			return nil, fmt.Errorf("no result of %s", d.Step)
		}
		for _, o := range r.Outputs {
			if d.Paths != nil && !slices.Contains(d.Paths, o.Path) {
				continue
			}
			if err := tree.Put(ctx, o); err != nil {
				return nil, fmt.Errorf("output of %s: %w", d.Step, err)
			}
		}
	}
	return tree, nil
}

// Command returns the Command message of s: all of its action but what it reads.
func (s *Step) Command() (Blob, error) { return EncodeBlob(s.command(platformMessage(s.Platform))) }

func (s *Step) command(platform *repb.Platform) *repb.Command {
	c := &repb.Command{
		Arguments:             s.Argv,
		WorkingDirectory:      s.Dir,
		Platform:              platform,
		OutputDirectoryFormat: repb.Command_DIRECTORY_ONLY,
	}
	for _, e := range s.Env {
		c.EnvironmentVariables = append(c.EnvironmentVariables, &repb.Command_EnvironmentVariable{Name: e.Name, Value: e.Value})
	}
	for _, o := range s.Outputs {
		c.OutputPaths = append(c.OutputPaths, relativeTo(s.Dir, o))
	}
	slices.Sort(c.OutputPaths)
	return c
}

// relativeTo returns p as seen from dir: REAPI's output paths are relative to
// the working directory. Both are clean and relative to one root.
func relativeTo(dir, p string) string {
	if dir == "" {
		return p
	}
	rel, err := filepath.Rel(filepath.FromSlash(dir), filepath.FromSlash(p))
	if err != nil {
		panic("action: two clean relative paths have no relation: " + err.Error())
	}
	return filepath.ToSlash(rel)
}

func platformMessage(ps []Property) *repb.Platform {
	all := make([]repb.Platform_Property, len(ps))
	m := &repb.Platform{Properties: make([]*repb.Platform_Property, len(ps))}
	for i, p := range ps {
		all[i].Name, all[i].Value = p.Name, p.Value
		m.Properties[i] = &all[i]
	}
	return m
}
