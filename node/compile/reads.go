package compile

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

// Reads is what a compile may read. All paths are absolute; those of files and
// directories are real: what leads to them through links is in Links. Each is
// there once, in the order in which a scan came to it, which depends on nothing
// but the files.
type Reads struct {
	// Files are those outside the bound directories, the sources first.
	Files []string
	// System are those in the bound directories.
	System []string
	// Silent are those of Files that a depfile does not name, though the
	// command reads them: what the assembler reads by itself, above all.
	Silent []string
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
	// Wrought is a file, not of a bound directory, with inline assembler that is
	// not all written out; "" if there is none. What that has the assembler read
	// is in no depfile, and here it is not known: where only Files can be read
	// that is no harm.
	Wrought string
	Clock   Clock
	// Once are those of Files that may be read once, whatever names they have:
	// gcc takes two for one if their content is the same, and their time.
	Once []string
	// Doubt is nil if nothing is missing above.
	Doubt *Doubt
}

// Rung is what an answer was come to by.
type Rung uint8

// The rungs, from the cheapest.
const (
	Scanned Rung = iota + 1 // by the scan alone
	Asked                   // by the compiler's -M as well
	Unknown                 // nobody knows: the command is for this machine
)

// Answer is what a command reads, and what was found out about its compiler.
type Answer struct {
	Reads
	Rung Rung
	// Why says what the scan did not know, and for Unknown what the compiler
	// did not.
	Why string
	// Program is the compiler's file, as PATH finds it. It and what follows
	// are not known where Rung is Unknown.
	Program string
	// Own are the directories where the compiler looks for headers by itself,
	// and Missing those that it would look in and that are not there: both as
	// it names them.
	Own, Missing []string
}
