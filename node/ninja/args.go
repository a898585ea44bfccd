package ninja

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"strconv"
	"strings"

	"github.com/buildnet/buildnet/node/project/ninja"
)

// Options are what to build, and how. Parse makes them valid.
type Options struct {
	// Dir is the directory to build in, as the user wrote it; empty means where
	// the program is.
	Dir string
	// File is the manifest.
	File string
	// Targets are paths; none means the defaults. A tool takes them as its
	// arguments.
	Targets []string
	// Tool is what to do instead of a build.
	Tool string

	// Jobs is how many commands run at once, wherever that is; 0 leaves it to who
	// runs them. KeepGoing is how many may fail.
	Jobs, KeepGoing int
	// MaxLoad is the load average above which no command starts; 0 means none.
	MaxLoad   float64
	DryRun    bool
	Verbosity Verbosity
	// StatusFormat is what precedes a status line: see NINJA_STATUS.
	StatusFormat string

	// Explain says why commands run.
	Explain                  bool
	KeepDepfile, KeepRspfile bool
	Manifest                 ninja.Options
}

// Defaults are the options of a call without arguments.
func Defaults() Options {
	return Options{File: "build.ninja", KeepGoing: 1, StatusFormat: defaultStatus}
}

// jobsHere is how many commands this machine runs at once.
func (o *Options) jobsHere() int {
	if o.Jobs > 0 {
		return o.Jobs
	}
	return defaultJobs(runtime.NumCPU())
}

// defaultJobs keeps a few more commands than processors, for those that wait.
func defaultJobs(processors int) int {
	switch processors {
	case 0, 1:
		return 2
	case 2:
		return 3
	default:
		return processors + 2
	}
}

// Answer ends the program instead of a build: it is what the user asked for, or
// what is wrong with the arguments.
type Answer struct {
	Stdout, Stderr string
	Code           int
}

func (a *Answer) Error() string { return strings.TrimSpace(a.Stdout + a.Stderr) }

func refusal(format string, args ...any) *Answer {
	return &Answer{Stderr: "ninja: error: " + fmt.Sprintf(format, args...) + "\n", Code: 1}
}

func fatal(format string, args ...any) *Answer {
	return &Answer{Stderr: "ninja: fatal: " + fmt.Sprintf(format, args...) + "\n", Code: 1}
}

const usageText = `usage: ninja [options] [targets...]

if targets are unspecified, builds the 'default' target (see manual).

options:
  --version      print ninja version ("%s")
  -v, --verbose  show all command lines while building
  --quiet        don't show progress status, just command output

  -C DIR   change to DIR before doing anything else
  -f FILE  specify input build file [default=build.ninja]

  -j N     run N jobs in parallel (0 means infinity) [default=%d on this system]
  -k N     keep going until N jobs fail (0 means infinity) [default=1]
  -l N     do not start new jobs if the load average is greater than N
  -n       dry run (don't run commands but act like they succeeded)

  -d MODE  enable debugging (use '-d list' to list modes)
  -t TOOL  run a subtool (use '-t list' to list subtools)
    terminates toplevel options; further flags are passed to the tool
  -w FLAG  adjust warnings (use '-w list' to list warnings)
`

// Parse reads ninja's arguments, without the program's name. getenv is asked for
// NINJA_STATUS. The error is an *Answer.
func Parse(args []string, getenv func(string) (string, bool)) (Options, error) {
	o := Defaults()
	if format, ok := getenv("NINJA_STATUS"); ok {
		o.StatusFormat = format
	}
	g := getopt{args: args, short: "d:f:j:k:l:nt:vw:C:h", long: map[string]byte{
		"help": 'h', "version": 'V', "verbose": 'v', "quiet": 'q',
	}}
	for o.Tool == "" {
		flag, value, err := g.next()
		if err != nil {
			return o, &Answer{Stderr: "ninja: " + err.Error() + "\n" + usage(), Code: 1}
		}
		if flag == 0 {
			break
		}
		if err := o.Set(flag, value); err != nil {
			return o, err
		}
	}
	o.Targets = g.rest()
	return o, nil
}

func usage() string { return fmt.Sprintf(usageText, ninja.Version, defaultJobs(runtime.NumCPU())) }

// Set takes one flag: its letter, q for --quiet, and its value. The error is an
// *Answer.
func (o *Options) Set(flag byte, value string) error {
	switch flag {
	case 'd':
		return o.debug(value)
	case 'f':
		o.File = value
	case 'j':
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 {
			return fatal("invalid -j parameter")
		}
		o.Jobs = orInfinity(n)
	case 'k':
		n, err := strconv.Atoi(value)
		if err != nil {
			return fatal("-k parameter not numeric; did you mean -k 0?")
		}
		o.KeepGoing = orInfinity(n)
	case 'l':
		load, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return fatal("-l parameter not numeric: did you mean -l 0.0?")
		}
		o.MaxLoad = load
	case 'n':
		o.DryRun = true
	case 't':
		return o.chooseTool(value)
	case 'v':
		o.Verbosity = Verbose
	case 'q':
		o.Verbosity = NoStatus
	case 'w':
		return o.warn(value)
	case 'C':
		o.Dir = value
	case 'V':
		return &Answer{Stdout: ninja.Version + "\n"}
	default:
		return &Answer{Stderr: usage(), Code: 1}
	}
	return nil
}

func orInfinity(n int) int {
	if n <= 0 {
		return math.MaxInt
	}
	return n
}

const debugModes = `debugging modes:
  stats        print operation counts/timing info
  explain      explain what caused a command to execute
  keepdepfile  don't delete depfiles after they're read by ninja
  keeprsp      don't delete @response files on success
multiple modes can be enabled via -d FOO -d BAR
`

func (o *Options) debug(mode string) error {
	switch mode {
	case "list":
		return &Answer{Stdout: debugModes, Code: 1}
	case "stats", "nostatcache":
	case "explain":
		o.Explain = true
	case "keepdepfile":
		o.KeepDepfile = true
	case "keeprsp":
		o.KeepRspfile = true
	default:
		return refusal("unknown debug setting '%s'%s", mode, didYouMean(mode, "stats", "explain", "keepdepfile", "keeprsp", "nostatcache"))
	}
	return nil
}

const warningFlags = `warning flags:
  phonycycle={err,warn}  phony build statement references itself
`

func (o *Options) warn(flag string) error {
	switch flag {
	case "list":
		return &Answer{Stdout: warningFlags, Code: 1}
	case "dupbuild=err":
		o.Manifest.Duplicates = ninja.DuplicatesFail
	case "dupbuild=warn":
		o.Manifest.Duplicates = ninja.DuplicatesWarn
	case "phonycycle=err":
		o.Manifest.PhonyCycles = ninja.PhonyCyclesFail
	case "phonycycle=warn":
		o.Manifest.PhonyCycles = ninja.PhonyCyclesWarn
	case "depfilemulti=err", "depfilemulti=warn":
	default:
		return refusal("unknown warning flag '%s'%s", flag, didYouMean(flag, "dupbuild=err", "dupbuild=warn", "phonycycle=err", "phonycycle=warn"))
	}
	return nil
}

// getopt reads flags as C's getopt_long does: they may stand behind operands, up
// to "--", share a dash, and have their value joined.
type getopt struct {
	args     []string
	short    string // letters; a colon behind one that has a value
	long     map[string]byte
	operands []string
	bundle   string // what is left of flags that share a dash
}

// next returns the next flag and its value, 0 at the end.
func (g *getopt) next() (flag byte, value string, err error) {
	for g.bundle == "" {
		if len(g.args) == 0 {
			return 0, "", nil
		}
		arg := g.args[0]
		g.args = g.args[1:]
		switch {
		case arg == "--":
			return 0, "", nil
		case strings.HasPrefix(arg, "--"):
			return g.longFlag(arg[2:])
		case len(arg) > 1 && arg[0] == '-':
			g.bundle = arg[1:]
		default:
			g.operands = append(g.operands, arg)
		}
	}
	flag = g.bundle[0]
	g.bundle = g.bundle[1:]
	i := strings.IndexByte(g.short, flag)
	if i < 0 || flag == ':' {
		return 0, "", fmt.Errorf("invalid option -- '%c'", flag)
	}
	if !strings.HasPrefix(g.short[i+1:], ":") {
		return flag, "", nil
	}
	if value, g.bundle = g.bundle, ""; value == "" {
		if len(g.args) == 0 {
			return 0, "", fmt.Errorf("option requires an argument -- '%c'", flag)
		}
		value, g.args = g.args[0], g.args[1:]
	}
	return flag, value, nil
}

// longFlag takes the beginning of a name too, if no other has it.
func (g *getopt) longFlag(name string) (byte, string, error) {
	var found byte
	for long, flag := range g.long {
		if long == name {
			return flag, "", nil
		}
		if strings.HasPrefix(long, name) {
			if found != 0 {
				return 0, "", errors.New("option '--" + name + "' is ambiguous")
			}
			found = flag
		}
	}
	if found == 0 {
		return 0, "", errors.New("unrecognized option '--" + name + "'")
	}
	return found, "", nil
}

// rest returns what is no flag.
func (g *getopt) rest() []string { return append(g.operands, g.args...) }
