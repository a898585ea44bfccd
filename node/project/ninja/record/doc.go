// Package record is what ninja remembers from one build to the next: the
// commands that made each output (.ninja_log, version 5) and the inputs that
// commands were found to read (.ninja_deps, version 4). Both are ninja's own
// formats, so that ninja and this program can take turns in one directory.
//
// It is pure: bytes of files come in, bytes to append or to write come out.
// Files may be cut short or written by a stranger; reading never fails, it says
// what it could not use. Start with ReadCommands and ReadDeps.
package record

// Loaded says what became of a file that was read.
type Loaded struct {
	// Warning is for the user; empty if the file was as it should be.
	Warning string
	// Keep is how many bytes of the file's beginning are sound. What follows
	// them must be cut off before anything is appended.
	Keep int
}
