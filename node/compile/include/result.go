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

// What a scan says is said in the words of package compile.
type (
	// Result is what a compile may read.
	Result = compile.Reads
	// Clock says whether what a compile makes depends on the time.
	Clock = compile.Clock
	// Reference is a symbolic link that leads to what a compile reads.
	Reference = compile.Reference
	// Doubt is why a scan does not know all that a compile reads.
	Doubt = compile.Doubt
)

// The clocks.
const (
	NoClock      = compile.NoClock
	ClockOfBuild = compile.ClockOfBuild
	ClockOfFile  = compile.ClockOfFile
)
