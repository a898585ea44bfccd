// Package project turns .buildnet/config.yaml into the steps of a build.
//
// The package is pure: it reads no file. Parse reads the text of a
// configuration; Config.Plan lays it over the names of a tree's files. Both
// report every fault that they find, each with its line and with what to do.
// Start reading at Parse, then at Config.Plan; docs/config.md is what users read.
package project

import (
	"time"

	"github.com/buildnet/buildnet/sched/action"
)

// File is a name in the tree: slash-separated, clean, from the project's root.
type File struct {
	Path string
	// Link is the target of a symbolic link, "" for a regular file.
	Link string
}

// Plan is the work that a configuration asks for over one set of files. It
// does not depend on the order of those files.
type Plan struct {
	// Steps are in topological order.
	Steps []Step
	// Packages are in topological order: each after its dependencies.
	Packages []Package
}

// Step is one command, with everything about it that a configuration says.
// Paths are from the project's root. Slices may be shared between steps: do
// not change them.
type Step struct {
	ID      action.StepID
	Package string
	Argv    []string
	// Env is sorted by name. It and PassEnv have no name in common.
	Env []action.Property
	// PassEnv names variables of the initiator, sorted.
	PassEnv []string
	// Dir is the working directory: the package's path, "" for the root.
	Dir string
	// Outputs are sorted. A step without any is a check: that it succeeds is
	// its result.
	Outputs []string
	// Sources are files and links, sorted.
	Sources []string
	// Deps are sorted by step.
	Deps        []action.Dep
	Timeout     time.Duration
	MemoryBytes int64 // 0: no limit
	// Platform is sorted by name, and holds what the configuration demands.
	Platform []action.Property
	// Tools are the programs that the step runs, sorted; nil: not said.
	Tools []string
	// ToolchainDirs are further read-only directories, absolute, sorted.
	ToolchainDirs []string
	Network       bool
	Unsandboxed   bool
}

// Package is what a build needs to know of a package besides its steps.
type Package struct {
	Name string
	// Path is from the project's root, "" for the root itself.
	Path  string
	Steps []action.StepID
	// OutputDirs are directories, from the project's root, that become exactly
	// what the steps made.
	OutputDirs []string
	// PreBuild and PostBuild are shell commands for the initiator, "" for none.
	PreBuild  string
	PostBuild string
	// Env and PassEnv are those of the package's hooks.
	Env     []action.Property
	PassEnv []string
}
