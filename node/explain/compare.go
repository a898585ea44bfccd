package explain

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store/digest"
)

// MaxDifferences is how many are told: more help nobody.
const MaxDifferences = 100

// maxDepth bounds directories within each other: a path has no more parts.
const maxDepth = 2048

// Reader returns the content of a blob of an action.
type Reader func(ctx context.Context, d digest.Digest) ([]byte, error)

// comparison is one of two actions.
type comparison struct {
	read  Reader
	fn    pair[digest.Function] // of all that the actions name
	found []event.Difference
	more  int
}

// Compare tells the differences of two actions, and how many there are beyond
// MaxDifferences. What was found before an error counts.
func Compare(ctx context.Context, read Reader, before, now digest.Digest) ([]event.Difference, int, error) {
	c := &comparison{read: read}
	err := c.actions(ctx, before, now)
	return c.found, c.more, err
}

func (c *comparison) add(of event.Aspect, name, before, now string) {
	switch {
	case before == now:
	case len(c.found) == MaxDifferences:
		c.more++
	default:
		c.found = append(c.found, event.Difference{Of: of, Name: name, Before: before, Now: now})
	}
}

// message reads one of the messages of an action.
func message[M any, P interface {
	*M
	proto.Message
}](ctx context.Context, c *comparison, d digest.Digest) (P, error) {
	m := P(new(M))
	content, err := c.read(ctx, d)
	if err != nil {
		return nil, err
	}
	if err := proto.Unmarshal(content, m); err != nil {
		return nil, fmt.Errorf("decode %v: %w", d, err)
	}
	return m, nil
}

// pair are the same thing of the two actions.
type pair[T any] struct{ before, now T }

func both[M any, P interface {
	*M
	proto.Message
}](ctx context.Context, c *comparison, of pair[digest.Digest]) (p pair[P], err error) {
	if p.before, err = message[M, P](ctx, c, of.before); err == nil {
		p.now, err = message[M, P](ctx, c, of.now)
	}
	return p, err
}

func (c *comparison) digests(before, now *repb.Digest) (p pair[digest.Digest], err error) {
	if p.before, err = digestOf(c.fn.before, before); err == nil {
		p.now, err = digestOf(c.fn.now, now)
	}
	return p, err
}

func digestOf(fn digest.Function, d *repb.Digest) (digest.Digest, error) {
	return digest.FromHex(fn, d.GetHash(), d.GetSizeBytes())
}

func (c *comparison) actions(ctx context.Context, before, now digest.Digest) error {
	acts, err := both[repb.Action](ctx, c, pair[digest.Digest]{before, now})
	if err != nil {
		return fmt.Errorf("what the action was is not kept: %w", err)
	}
	c.fn = pair[digest.Function]{before.Function(), now.Function()}
	of, err := c.digests(acts.before.CommandDigest, acts.now.CommandDigest)
	if err != nil {
		return err
	}
	commands, err := both[repb.Command](ctx, c, of)
	if err != nil {
		return fmt.Errorf("what the command was is not kept: %w", err)
	}
	c.commands(commands.before, commands.now)
	c.platform(properties(acts.before, commands.before), properties(acts.now, commands.now))
	roots, err := c.digests(acts.before.InputRootDigest, acts.now.InputRootDigest)
	if err == nil {
		err = c.directory(ctx, "", roots, maxDepth)
	}
	if err != nil {
		return fmt.Errorf("not all of what the inputs were is kept: %w", err)
	}
	return nil
}

func (c *comparison) commands(before, now *repb.Command) {
	a, b := middles(before.Arguments, now.Arguments)
	c.add(event.OfCommand, "arguments", strings.Join(a, " "), strings.Join(b, " "))
	c.add(event.OfDirectory, "working directory", before.WorkingDirectory, now.WorkingDirectory)
	c.values(event.OfEnvironment, variables(before), variables(now))
	a, b = middles(outputs(before), outputs(now))
	c.add(event.OfOutput, "outputs", strings.Join(a, " "), strings.Join(b, " "))
}

// outputs are those of a command in whichever fields it has them.
//
//nolint:staticcheck // clients of REAPI 2.0 have the two older ones
func outputs(c *repb.Command) []string {
	if len(c.OutputPaths) > 0 {
		return c.OutputPaths
	}
	return slices.Concat(c.OutputFiles, c.OutputDirectories)
}

// middles leaves out what two lists have in common at both ends.
func middles(a, b []string) (before, now []string) {
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	return a, b
}

func variables(c *repb.Command) map[string]string {
	all := make(map[string]string, len(c.EnvironmentVariables))
	for _, v := range c.EnvironmentVariables {
		all[v.Name] = v.Value
	}
	return all
}

// properties are those of an action's platform, or of its command's, where clients of
// REAPI 2.1 have it.
//
//nolint:staticcheck // see above
func properties(a *repb.Action, c *repb.Command) map[string]string {
	said := a.GetPlatform()
	if said == nil {
		said = c.GetPlatform()
	}
	all := map[string]string{}
	for _, p := range said.GetProperties() {
		all[p.Name] = p.Value
	}
	return all
}

// platform tells of a toolchain by what it is the toolchain of.
func (c *comparison) platform(before, now map[string]string) {
	spec := now[action.PropertyToolchainSpec]
	if spec == "" {
		spec = before[action.PropertyToolchainSpec]
	}
	c.add(event.OfToolchain, spec, before[action.PropertyToolchain], now[action.PropertyToolchain])
	delete(before, action.PropertyToolchain)
	delete(now, action.PropertyToolchain)
	c.values(event.OfPlatform, before, now)
}

// values tells what of two maps differs, by name.
func (c *comparison) values(of event.Aspect, before, now map[string]string) {
	all := maps.Clone(before)
	maps.Copy(all, now)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		c.add(of, name, before[name], now[name])
	}
}

var errDeep = errors.New("directories are too deep")

// directory tells the files that differ below a directory of both actions. Of one
// that only one of them has, the zero digest stands for the other's.
func (c *comparison) directory(ctx context.Context, at string, of pair[digest.Digest], depth int) error {
	switch {
	case of.before == of.now:
		return nil
	case depth == 0:
		return errDeep
	}
	before, err := c.entries(ctx, of.before)
	if err != nil {
		return err
	}
	now, err := c.entries(ctx, of.now)
	if err != nil {
		return err
	}
	c.values(event.OfInput, inDir(at, before.leaves), inDir(at, now.leaves))
	names := maps.Clone(before.dirs)
	maps.Copy(names, now.dirs)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if err := c.directory(ctx, path.Join(at, name), pair[digest.Digest]{before.dirs[name], now.dirs[name]}, depth-1); err != nil {
			return err
		}
	}
	return nil
}

func inDir(at string, leaves map[string]string) map[string]string {
	all := make(map[string]string, len(leaves))
	for name, what := range leaves {
		all[path.Join(at, name)] = what
	}
	return all
}

// entries are what is in a directory: files by their digests, links by where they
// lead, and directories.
type entries struct {
	leaves map[string]string
	dirs   map[string]digest.Digest
}

func (c *comparison) entries(ctx context.Context, d digest.Digest) (entries, error) {
	e := entries{leaves: map[string]string{}, dirs: map[string]digest.Digest{}}
	if d.IsZero() {
		return e, nil
	}
	m, err := message[repb.Directory](ctx, c, d)
	if err != nil {
		return e, err
	}
	for _, f := range m.Files {
		e.leaves[f.Name] = f.Digest.GetHash()
		if f.IsExecutable {
			e.leaves[f.Name] += " executable"
		}
	}
	for _, l := range m.Symlinks {
		e.leaves[l.Name] = "-> " + l.Target
	}
	for _, sub := range m.Directories {
		if e.dirs[sub.Name], err = digestOf(d.Function(), sub.Digest); err != nil {
			return e, err
		}
	}
	return e, nil
}
