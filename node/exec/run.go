package exec

import (
	"io"
	"path/filepath"
	"time"

	"github.com/buildnet/buildnet/sched/action"
)

// launch is a command with its inputs in place.
type launch struct {
	job   *job
	dir   *scratchDir
	level action.Isolation
	// printed takes what the command prints: both streams, or standard output and
	// standard error apart.
	printed []*printed
	// ground is nil if the inputs are where they are laid out.
	ground *ground
}

// streams are where what a command prints is kept, each within the limit.
func streams(j *job) []*printed {
	all := []*printed{{limit: MaxStdoutBytes}}
	if j.apart {
		all = append(all, &printed{limit: MaxStdoutBytes})
	}
	return all
}

// sink is where what the command prints to a stream goes.
func (l launch) sink(stream int) io.Writer {
	if l.job.progress == nil {
		return l.printed[stream]
	}
	return &marks{next: l.printed[stream], tell: l.job.progress}
}

// said is all that was printed, for an error.
func (l launch) said() []byte {
	var all []byte
	for _, p := range l.printed {
		all = append(all, p.bytes()...)
	}
	return all
}

// outcome is how a command ended.
type outcome struct {
	code    int
	message string
	cause   action.Cause
	cpu     time.Duration
	maxRSS  int64
}

// The exit codes of a shell for commands that were killed or cannot be run.
const (
	codeSignal        = 128
	codeNotExecutable = 126
	codeNotFound      = 127
)

// foreignNiceness is that of actions for others. One's own compete with whatever asked
// for them, such as a JVM that compiles itself meanwhile, and are what it waits for:
// they have the node's niceness.
const foreignNiceness = 10

// relocated is the environment of a command that sees its scratch directory
// where it is.
func relocated(env []string, dir *scratchDir) []string {
	moved := make([]string, len(env))
	for i, v := range env {
		switch v {
		case "HOME=/buildnet/home":
			v = "HOME=" + filepath.Join(dir.path, "home")
		case "TMPDIR=/tmp":
			v = "TMPDIR=" + filepath.Join(dir.path, "tmp")
		}
		moved[i] = v
	}
	return moved
}
