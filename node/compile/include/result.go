package include

import "github.com/buildnet/buildnet/node/compile"

// Unit is one compile.
type Unit struct {
	Command *compile.Command
	// Dir is its working directory, absolute.
	Dir string
	// Own are the directories of the compiler itself.
	Own Own
	// Told says that the compiler has said what it reads, and Also what that
	// is. What is left to doubt is what it does not say.
	Told bool
	Also []string
}

// Clock says whether what a compile makes depends on the time.
type Clock uint8

// The clocks, each worse than the one before.
const (
	NoClock      Clock = iota
	ClockOfBuild       // __DATE__ or __TIME__, which SOURCE_DATE_EPOCH settles
	ClockOfFile        // __TIMESTAMP__: when a source was written
)

// Reference is a symbolic link that leads to what a compile reads.
type Reference struct{ Path, Target string }

// Doubt is why a scan does not know all that a compile reads.
type Doubt struct {
	Why string
	// Deaf says that the compiler's own -M does not know it either.
	Deaf bool
}

// Result is what a compile may read. All paths are absolute; those of files and
// directories are real: what leads to them through links is in Links. Each is
// there once, in the order in which the scan came to it, which depends on
// nothing but the files.
type Result struct {
	// Files are those outside the bound directories, the sources first.
	Files []string
	// System are those in the bound directories.
	System []string
	Links  []Reference
	// Dirs must be there, even with none of these files in them.
	Dirs []string
	// Absent are the paths that were looked for in vain before or instead of
	// what was found. If one of them appears, the result is another. The same
	// is true of each with .gch added.
	Absent []string
	// Coming are paths that were found, and that the graph is to make yet.
	// What these read is not known; where there is a file from before, it
	// counts.
	Coming []string
	Clock  Clock
	// Doubt is nil if nothing is missing above.
	Doubt *Doubt
}
