package exec

import (
	"context"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

// Limits of what is read of an action.
const (
	maxMessageBytes = 64 << 20
	maxInputs       = 1_000_000
	maxDepth        = 200
)

// fixedTime is the modification time of every input, and what
// SOURCE_DATE_EPOCH says: the first moment that a zip archive can name.
var fixedTime = time.Unix(315532800, 0)

// job is an action, read and checked.
type job struct {
	argv []string
	env  []string
	// dir is the working directory, and outputs are paths, both from the root.
	dir           string
	outputs       []string
	root          digest.Digest
	timeout       time.Duration
	memory        int64
	toolchainDirs []string
	network       bool
	unsandboxed   bool
	absolute      bool     // the root is that of the file system: see action.RootAbsolute
	exact         []string // absolute directories that hold inputs alone
	optional      bool     // see action.OutputsOptional
	apart         bool     // see action.StreamsApart
	wanted        action.Wanted
	foreign       bool // not of a build that was asked for here
	progress      func(percent int)
}

func load(ctx context.Context, blobs store.Blobs, d digest.Digest) (*job, error) {
	var a repb.Action
	if err := message(ctx, blobs, d, &a); err != nil {
		return nil, fmt.Errorf("action: %w", err)
	}
	cd, err := action.DigestOf(a.GetCommandDigest())
	if err != nil {
		return nil, fmt.Errorf("%w: command: %w", ErrMalformed, err)
	}
	var c repb.Command
	if err := message(ctx, blobs, cd, &c); err != nil {
		return nil, fmt.Errorf("command: %w", err)
	}
	root, err := action.DigestOf(a.GetInputRootDigest())
	if err != nil {
		return nil, fmt.Errorf("%w: input root: %w", ErrMalformed, err)
	}
	j := &job{argv: c.GetArguments(), env: environment(&c), dir: path.Clean(c.GetWorkingDirectory()), root: root, timeout: defaultTimeout}
	if t := a.GetTimeout().AsDuration(); t > 0 {
		j.timeout = t
	}
	if err := j.check(&c); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	platform := a.GetPlatform()
	if platform == nil {
		platform = c.GetPlatform() //nolint:staticcheck // clients of REAPI 2.1 and before have it here alone
	}
	if err := j.apply(platform); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return j, nil
}

func message(ctx context.Context, blobs store.Blobs, d digest.Digest, m proto.Message) error {
	content, err := store.ReadAll(ctx, blobs, d, maxMessageBytes)
	if err != nil {
		return err
	}
	if err := proto.Unmarshal(content, m); err != nil {
		return fmt.Errorf("%w: decode %v: %w", ErrMalformed, d, err)
	}
	return nil
}

func (j *job) check(c *repb.Command) error {
	if len(j.argv) == 0 || j.argv[0] == "" {
		return fmt.Errorf("no command")
	}
	for _, s := range slices.Concat(j.argv, j.env) {
		if strings.ContainsRune(s, 0) {
			return fmt.Errorf("a NUL in argument or variable %q", s)
		}
	}
	for _, v := range c.GetEnvironmentVariables() {
		if v.GetName() == "" || strings.Contains(v.GetName(), "=") {
			return fmt.Errorf("variable %q has no name that a variable can have", v.GetName())
		}
	}
	if j.dir == "." {
		j.dir = ""
	}
	if j.dir != "" && !filepath.IsLocal(j.dir) {
		return fmt.Errorf("working directory %q is outside of the root", j.dir)
	}
	outputs := c.GetOutputPaths()
	if len(outputs) == 0 {
		//nolint:staticcheck // clients of REAPI 2.0 name their outputs in the two older fields
		outputs = slices.Concat(c.GetOutputFiles(), c.GetOutputDirectories())
	}
	for _, o := range outputs {
		p := path.Join(j.dir, o)
		if !action.CleanPath(p) {
			return fmt.Errorf("output %q is outside of the root", o)
		}
		j.outputs = append(j.outputs, p)
	}
	slices.Sort(j.outputs)
	j.outputs = slices.Compact(j.outputs)
	return nil
}

func (j *job) apply(p *repb.Platform) error {
	for _, property := range p.GetProperties() {
		value := property.GetValue()
		switch property.GetName() {
		case action.PropertyNetwork:
			j.network = value == "true"
		case action.PropertySandbox:
			j.unsandboxed = value == "none"
		case action.PropertyMemoryBytes:
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil || n < 0 {
				return fmt.Errorf("memory limit %q is no number of bytes", value)
			}
			j.memory = n
		case action.PropertyToolchainDirs:
			dirs, err := directories(value)
			if err != nil {
				return fmt.Errorf("toolchain %w", err)
			}
			j.toolchainDirs = dirs
		case action.PropertyRoot:
			if value != action.RootAbsolute {
				return fmt.Errorf("root %q is none that an action can have: want %s", value, action.RootAbsolute)
			}
			j.absolute = true
		case action.PropertyOutputs:
			if value != action.OutputsOptional {
				return fmt.Errorf("outputs %q are none that an action can have: want %s", value, action.OutputsOptional)
			}
			j.optional = true
		case action.PropertyStreams:
			if value != action.StreamsApart {
				return fmt.Errorf("streams %q are none that an action can have: want %s", value, action.StreamsApart)
			}
			j.apart = true
		case action.PropertyNodeProperties:
			wanted, err := action.ParseWanted(value)
			if err != nil {
				return err
			}
			j.wanted = wanted
		case action.PropertyRootExact:
			dirs, err := directories(value)
			if err != nil {
				return fmt.Errorf("exact %w", err)
			}
			j.exact = dirs
		}
	}
	if j.absolute && j.unsandboxed {
		return fmt.Errorf("%s=%s needs the sandbox that %s takes away", action.PropertyRoot, action.RootAbsolute, action.PropertySandbox)
	}
	return nil
}

// directories reads a list of directories from a property.
func directories(list string) ([]string, error) {
	var dirs []string
	for d := range strings.SplitSeq(list, ":") {
		if d == "" {
			continue
		}
		if err := checkDirectory(d); err != nil {
			return nil, err
		}
		dirs = append(dirs, d)
	}
	return dirs, nil
}

// reserved are what a sandbox makes itself.
var reserved = []string{"/", "/buildnet", "/dev", "/proc", "/sys", "/tmp", "/etc", "/run", "/var"}

func checkDirectory(d string) error {
	if !path.IsAbs(d) || path.Clean(d) != d {
		return fmt.Errorf("directory %q is not a clean absolute path", d)
	}
	if slices.Contains(reserved, d) || strings.HasPrefix(d, "/proc/") || strings.HasPrefix(d, "/dev/") || strings.HasPrefix(d, "/buildnet/") {
		return fmt.Errorf("directory %s cannot be given to actions: name one below it", d)
	}
	return nil
}

// environment is the command's, over the fixed one.
func environment(c *repb.Command) []string {
	given := map[string]string{}
	localised := false
	for _, v := range c.GetEnvironmentVariables() {
		given[v.GetName()] = v.GetValue()
		localised = localised || v.GetName() == "LANG" || strings.HasPrefix(v.GetName(), "LC_")
	}
	fixed := map[string]string{
		"PATH": DefaultPath, "HOME": "/buildnet/home", "TMPDIR": "/tmp", "TZ": "UTC", "USER": "buildnet", "LOGNAME": "buildnet",
		"SOURCE_DATE_EPOCH": strconv.FormatInt(fixedTime.Unix(), 10),
	}
	if !localised {
		fixed["LANG"], fixed["LC_ALL"] = "C", "C"
	}
	for name, value := range fixed {
		if _, ok := given[name]; !ok {
			given[name] = value
		}
	}
	env := make([]string, 0, len(given))
	for name, value := range given {
		env = append(env, name+"="+value)
	}
	slices.Sort(env)
	return env
}

// DefaultPath is PATH where the command names none.
const DefaultPath = "/usr/local/bin:/usr/bin:/bin"
