// Package ninja builds what a build.ninja says, as ninja 1.11 does: the same
// commands in the same order, the same words on the terminal, the same records
// on disk, so that both can take turns in one directory.
//
// It is the driver: it touches files through Disk, runs commands through
// Runner, and reads the clock. What to run is decided in node/project/ninja/plan.
// Start with Parse and Run, then builder.go.
package ninja
