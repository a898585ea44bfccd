package ninja

import (
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// hereOnly is why a job of a build in dir can run on this machine only; "" if it
// need not.
func hereOnly(j *Job, dir string) string {
	switch {
	case j.Console():
		return "console: it has the terminal"
	case j.Generator:
		return "generator: it may read anything"
	}
	for _, o := range j.Outs {
		if !inside(o, dir) {
			return "its output " + o + " lies outside the build directory"
		}
	}
	if p := driver(j.Command); p != "" {
		return p + " drives other programs"
	}
	return ""
}

// inside reports whether an output lies in the directory of the build.
func inside(output, dir string) bool {
	if !filepath.IsAbs(output) {
		return filepath.IsLocal(output)
	}
	if strings.HasPrefix(output, dir+"/") {
		return true
	}
	at, err := filepath.EvalSymlinks(filepath.Dir(output))
	return err == nil && strings.HasPrefix(at+"/", dir+"/")
}

// drivers are programs that read the whole tree and run others.
var drivers = []string{"cmake", "ctest", "cpack", "meson", "ninja", "make"}

// plainTools are what of `cmake -E` does no more than it is told.
var plainTools = []string{
	"cat", "compare_files", "copy", "copy_directory", "copy_if_different", "create_symlink", "echo", "echo_append", "make_directory",
	"md5sum", "remove", "remove_directory", "rename", "rm", "sha256sum", "touch", "touch_nocreate", "true",
}

// driver returns the name of the driver that a command runs; "" for none. Words
// are those of a shell as far as build files have them: what is quoted is none.
func driver(command string) string {
	words := strings.Fields(command)
	first := true
	for i, w := range words {
		name := path.Base(w)
		if first && slices.Contains(drivers, name) && !plainTool(words[i+1:]) {
			return name
		}
		first = w == "&&" || w == "||" || w == ";" || w == "|" || strings.HasSuffix(w, ";") || first && assigns(w)
	}
	return ""
}

// plainTool reports whether cmake's arguments are those of a simple tool.
func plainTool(args []string) bool {
	return len(args) > 1 && args[0] == "-E" && slices.Contains(plainTools, args[1])
}

// assigns reports whether a word before a program sets a variable for it.
func assigns(word string) bool {
	name, _, ok := strings.Cut(word, "=")
	return ok && name != "" && !strings.ContainsAny(name, "/'\"$-")
}
