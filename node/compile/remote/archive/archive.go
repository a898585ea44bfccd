// Package archive reads the command lines of archivers: ar and ranlib of GNU
// binutils, of gcc and of LLVM. It is pure. Start reading at Read.
package archive

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/buildnet/buildnet/node/compile"
)

// Command is a command that makes or changes an archive. Paths are as they are
// written.
type Command struct {
	Program string
	// Archive is what is made. Where it is there already, it is read as well.
	Archive string
	// Members are the files that go into it.
	Members []string
	// Responses are files of arguments.
	Responses []string
	// Thin says that it holds the names of its members alone.
	Thin bool
	// Updates says that members that are there already are replaced by newer
	// files only.
	Updates bool
	// Unsaid says that no argument says whether times and owners of members go
	// into the archive: then it is as the archiver was built.
	Unsaid bool
	// Local are the reasons why only this machine can run it.
	Local []string
}

// ErrNotArchiver says that a command runs something else.
var ErrNotArchiver = errors.New("not an archiver")

// archiver matches the names of archivers: a target in front, a version behind.
var archiver = regexp.MustCompile(`^(?:[a-zA-Z0-9_.]+-)*(ar|ranlib)(?:-[0-9]+(?:\.[0-9]+)*)?$`)

// Is reports whether a program is an archiver, by its name.
func Is(program string) bool { return archiver.MatchString(path.Base(program)) }

// Read reads a command. response reads a file of arguments. ErrNotArchiver is
// the only error.
func Read(argv []string, response func(path string) ([]byte, error)) (*Command, error) {
	if len(argv) == 0 {
		return nil, ErrNotArchiver
	}
	m := archiver.FindStringSubmatch(path.Base(argv[0]))
	if m == nil {
		return nil, ErrNotArchiver
	}
	c := &Command{Program: argv[0], Unsaid: true}
	args := c.respond(argv[1:], response)
	if m[1] == "ranlib" {
		c.ranlib(args)
	} else {
		c.ar(args)
	}
	return c, nil
}

func (c *Command) local(format string, args ...any) {
	if why := fmt.Sprintf(format, args...); !slices.Contains(c.Local, why) {
		c.Local = append(c.Local, why)
	}
}

// maxResponses bounds the files of arguments: they may name each other.
const maxResponses = 2000

// respond puts the arguments of files in place.
func (c *Command) respond(args []string, response func(string) ([]byte, error)) []string {
	for i := 0; i < len(args); i++ {
		file, is := strings.CutPrefix(args[i], "@")
		if !is {
			continue
		}
		if response == nil || len(c.Responses) == maxResponses {
			c.local("the arguments of %s are not known", args[i])
			return args
		}
		content, err := response(file)
		if err != nil {
			c.local("the arguments of %s are not known: %v", args[i], err)
			return args
		}
		c.Responses = append(c.Responses, file)
		args = slices.Concat(args[:i], compile.Unquote(string(content)), args[i+1:])
		i--
	}
	return args
}

// ar reads "[-]OPTIONS archive members".
func (c *Command) ar(args []string) {
	letters := ""
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		letters, args = args[0], args[1:]
	}
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		switch {
		case args[0] == "--thin":
			c.Thin = true
		case strings.HasPrefix(args[0], "--"):
			c.local("%s is not known", args[0])
		default:
			letters += args[0][1:]
		}
		args = args[1:]
	}
	c.letters(letters)
	if len(args) == 0 {
		c.local("it names no archive")
		return
	}
	c.files(args)
}

// letters reads an operation and its modifiers: see ar(1).
func (c *Command) letters(letters string) {
	operations := 0
	for _, l := range letters {
		switch l {
		case 'r', 'q', 's':
			operations++
		case 'D':
			c.Unsaid = false
		case 'U':
			c.local("ar U: times and owners of files go into the archive")
		case 'u':
			c.Updates = true
		case 'T':
			c.Thin = true
		case 'c', 'S', 'v', 'P', 'f', 'o':
		case 'd', 'm', 'p', 't', 'x':
			c.local("ar %c: it makes no archive of files", l)
		case 'M':
			c.local("ar -M: what it does is typed into it")
		default:
			c.local("ar %c: it is not looked into", l)
		}
	}
	if operations == 0 {
		c.local("it makes no archive")
	}
}

func (c *Command) files(args []string) {
	if i := slices.IndexFunc(args, func(a string) bool { return strings.HasPrefix(a, "-") }); i >= 0 {
		c.local("%s is not known", args[i])
	}
	c.Archive, c.Members = args[0], args[1:]
}

// ranlib reads "[-D] archive".
func (c *Command) ranlib(args []string) {
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		if args[0] == "-D" {
			c.Unsaid = false
		} else {
			c.local("%s is not known", args[0])
		}
		args = args[1:]
	}
	if len(args) != 1 {
		c.local("it names not one archive")
		return
	}
	c.files(args)
}
