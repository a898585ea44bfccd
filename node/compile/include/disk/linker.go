package disk

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/buildnet/buildnet/node/compile"
	"github.com/buildnet/buildnet/node/compile/include"
)

// libraries is where a compiler and its linker look for libraries.
type libraries struct {
	dirs  []string
	stamp include.Stamp // of the compiler
}

// ErrElsewhere says that arguments of a link change where libraries of the
// toolchain are looked for.
var ErrElsewhere = errors.New("libraries of the toolchain are looked for elsewhere")

// Libraries returns the file of a compiler, and the directories where it and its
// linker look for libraries by themselves, there or not, as they name them.
// ErrElsewhere says that the command has them look in others. The context's
// error is the only other one that does not speak of the compiler.
func (in *Inputs) Libraries(ctx context.Context, c *compile.Command, dir string) (program string, dirs []string, err error) {
	if err := in.take(ctx); err != nil {
		return "", nil, err
	}
	defer in.give()
	program, err = in.program(c.Compiler, dir)
	if err != nil {
		return "", nil, err
	}
	plain, err := in.searched(ctx, c.Compiler, program, nil, dir)
	if err != nil {
		return "", nil, err
	}
	if len(c.Asking) > 0 {
		asked, err := in.searched(ctx, c.Compiler, program, c.Asking, dir)
		if err != nil {
			return "", nil, err
		}
		if !slices.Equal(asked, plain) {
			return "", nil, fmt.Errorf("%s: %w", strings.Join(c.Asking, " "), ErrElsewhere)
		}
	}
	return program, plain, nil
}

// searched asks a compiler, once until its file is another.
func (in *Inputs) searched(ctx context.Context, compiler, program string, asking []string, dir string) ([]string, error) {
	question := slices.Concat([]string{compiler}, asking, []string{"-print-search-dirs"})
	key, stamp := keyOf(program, question, dir), stampAt(program)
	if l, ok := in.links[key]; ok && l.stamp == stamp {
		return l.dirs, nil
	}
	if err := another(compiler, program); err != nil {
		return nil, err
	}
	answer, _, err := in.ask(ctx, question, dir, nil)
	if err != nil {
		return nil, err
	}
	var dirs []string
	for line := range strings.Lines(answer) {
		if list, ok := strings.CutPrefix(strings.TrimSpace(line), "libraries: ="); ok {
			dirs = append(dirs, strings.Split(list, ":")...)
		}
	}
	if len(dirs) == 0 {
		return nil, fmt.Errorf("%s does not say where its libraries are", compiler)
	}
	linker, _, err := in.ask(ctx, slices.Concat([]string{compiler}, asking, []string{"-print-prog-name=ld"}), dir, nil)
	if err != nil {
		return nil, err
	}
	// One that has no such list looks where it is told to.
	if said, _, err := in.ask(ctx, []string{strings.TrimSpace(linker), "--verbose"}, dir, nil); err == nil {
		for _, m := range searchDir.FindAllStringSubmatch(said, -1) {
			dirs = append(dirs, m[1])
		}
	}
	dirs = append(dirs, configured("/etc/ld.so.conf", 0)...)
	in.links[key] = libraries{dirs, stamp}
	return dirs, ctx.Err()
}

// searchDir matches a directory in a linker's own script.
var searchDir = regexp.MustCompile(`SEARCH_DIR\("=?([^"]*)"\)`)

// configured are the directories of an ld.so.conf, where a linker looks for
// what libraries need.
func configured(file string, depth int) (dirs []string) {
	in, err := os.Open(file)
	if err != nil || depth > 8 {
		return nil
	}
	defer in.Close()
	for lines := bufio.NewScanner(in); lines.Scan(); {
		line, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(line)
		switch {
		case len(words) == 2 && words[0] == "include":
			pattern := words[1]
			if !path.IsAbs(pattern) {
				pattern = path.Join(path.Dir(file), pattern)
			}
			files, _ := filepath.Glob(pattern)
			for _, f := range files {
				dirs = append(dirs, configured(f, depth+1)...)
			}
		case len(words) == 1:
			dirs = append(dirs, words[0])
		}
	}
	return dirs
}

// byDefault matches what archivers say of the times and owners of members.
var byDefault = regexp.MustCompile(`(?m)^\s*\[?-?D\]?\s.*\(default\)`)

// Reproducible reports whether an archiver leaves the times and owners of files
// out of what it makes, unless it is told otherwise.
func (in *Inputs) Reproducible(ctx context.Context, archiver, dir string) (bool, error) {
	if err := in.take(ctx); err != nil {
		return false, err
	}
	defer in.give()
	program, err := in.program(archiver, dir)
	if err != nil {
		return false, err
	}
	question := []string{archiver, "--help"}
	key, stamp := keyOf(program, question, dir), stampAt(program)
	a, ok := in.says[key]
	if !ok || a.stamp != stamp {
		out, talk, err := in.ask(ctx, question, dir, nil)
		if err != nil {
			return false, err
		}
		a = native{out + talk, stamp}
		in.says[key] = a
	}
	return byDefault.MatchString(a.text), nil
}
