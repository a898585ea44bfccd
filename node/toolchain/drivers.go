package toolchain

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// spec adds what a spec names, and everything in its directories.
func (g *gathering) spec(ctx context.Context, s parsed) error {
	for _, d := range s.dirs {
		if _, err := os.Stat(d); err != nil {
			return fmt.Errorf("toolchain directory: %w: make it on this machine, or take it out of `toolchains`", err)
		}
		if err := g.tree(d); err != nil {
			return fmt.Errorf("toolchain directory %s: %w", d, err)
		}
	}
	for _, d := range g.p.opts.Dirs {
		if err := g.tree(d); err != nil {
			return fmt.Errorf("toolchain directory %s: %w", d, err)
		}
	}
	if s.kind == kindHost {
		return g.host(ctx)
	}
	for _, n := range s.names {
		p, declared, err := g.find(n, s.dirs)
		if err != nil {
			return err
		}
		switch {
		case !driver.MatchString(n), declared:
			// A declared directory is part of the digest as a whole, and
			// nothing in it is ever run here: a peer may have named it.
			err = errors.Join(g.program(p), g.plugins(ctx, n, p))
		case s.kind == kindCompile:
			err = g.compiler(ctx, p)
		default:
			err = g.linker(ctx, p)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", n, err)
		}
	}
	return nil
}

// compiler adds what a driver runs and reads to compile.
func (g *gathering) compiler(ctx context.Context, driver string) error {
	if !g.first("compiler", driver) {
		return nil
	}
	if err := g.program(driver); err != nil {
		return err
	}
	for _, question := range []string{"-dumpmachine", "-dumpspecs"} { // clang has no specs
		answer, _ := g.ask(ctx, driver, question)
		g.text(question, answer)
	}
	if err := g.file1(ctx, driver, "specs"); err != nil {
		return err
	}
	for _, n := range compilePrograms {
		if err := g.subprogram(ctx, driver, n); err != nil {
			return err
		}
	}
	if err := g.resources(ctx, driver); err != nil {
		return err
	}
	for _, language := range []string{"c", "c++"} {
		dirs, err := g.includeDirs(ctx, driver, language)
		if err != nil {
			return err
		}
		for _, d := range dirs {
			if err := g.tree(d); err != nil {
				return err
			}
		}
	}
	return nil
}

// linker adds what a driver runs and reads to link: all that it does to
// compile, since one command may do both, and every library that it may find.
func (g *gathering) linker(ctx context.Context, driver string) error {
	if err := g.compiler(ctx, driver); err != nil {
		return err
	}
	if !g.first("linker", driver) {
		return nil
	}
	for _, n := range linkPrograms {
		if err := g.subprogram(ctx, driver, n); err != nil {
			return err
		}
	}
	if err := g.file1(ctx, driver, "liblto_plugin.so"); err != nil {
		return err
	}
	answer, err := g.ask(ctx, driver, "-print-resource-dir")
	if p := strings.TrimSpace(answer); err == nil && filepath.IsAbs(p) {
		if err := g.tree(filepath.Join(filepath.Clean(p), "lib")); err != nil { // clang's sanitizers
			return err
		}
		words, err := g.ask(ctx, driver, "-###", "-lc")
		if err != nil {
			return err
		}
		g.text("links by", words)
	}
	dirs, err := g.libraryDirs(ctx, driver)
	if err != nil {
		return err
	}
	for _, d := range dirs {
		if err := g.libraries(d); err != nil {
			return err
		}
	}
	return nil
}

// compilePrograms are what drivers run to compile. The last is for -gsplit-dwarf.
var compilePrograms = []string{"cc1", "cc1plus", "as", "objcopy"}

// linkPrograms are what drivers run to link: a linker, which may be any by
// -fuse-ld, and what compiles at last, by a makefile.
var linkPrograms = []string{"ld", "ld.bfd", "ld.gold", "ld.lld", "ld.mold", "collect2", "lto1", "lto-wrapper", "make", "sh", "mv", "touch"}

// searchDir matches a directory in a linker's own script.
var searchDir = regexp.MustCompile(`SEARCH_DIR\("=?([^"]*)"\)`)

// libraryDirs asks where a driver and its linker look for libraries. A command
// that links may read all that is in them.
func (g *gathering) libraryDirs(ctx context.Context, driver string) ([]string, error) {
	answer, err := g.ask(ctx, driver, "-print-search-dirs")
	if err != nil {
		return nil, err
	}
	var dirs []string
	for line := range strings.Lines(answer) {
		if list, ok := strings.CutPrefix(strings.TrimSpace(line), "libraries: ="); ok {
			dirs = append(dirs, strings.Split(list, ":")...)
		}
	}
	if answer, err = g.ask(ctx, driver, "-print-prog-name=ld"); err != nil {
		return nil, err
	}
	linker := strings.TrimSpace(answer)
	if !filepath.IsAbs(linker) {
		linker, _, err = g.find(linker, nil)
	}
	if err == nil {
		said, _ := g.ask(ctx, linker, "--verbose") // not all of them have a script
		for _, m := range searchDir.FindAllStringSubmatch(said, -1) {
			dirs = append(dirs, m[1])
		}
	}
	dirs = append(dirs, g.configuredDirs("/etc/ld.so.conf", 0)...)
	for _, d := range dirs {
		g.text("libraries", filepath.Clean(d)) // in this order
	}
	return dirs, nil
}

// subprogram adds a program that a driver runs. One that it does not know it
// does not run; it prints the name alone then, which is looked up in PATH.
func (g *gathering) subprogram(ctx context.Context, driver, name string) error {
	answer, err := g.ask(ctx, driver, "-print-prog-name="+name)
	if err != nil {
		return err
	}
	p := strings.TrimSpace(answer)
	if !filepath.IsAbs(p) {
		found, _, err := g.find(name, nil)
		if err != nil {
			g.text("absent", name)
			return nil //nolint:nilerr // a compiler may have it built in
		}
		p = found
	}
	return g.optional(filepath.Clean(p))
}

// file1 adds a file that a driver reads, if it has one.
func (g *gathering) file1(ctx context.Context, driver, name string) error {
	answer, err := g.ask(ctx, driver, "-print-file-name="+name)
	if p := strings.TrimSpace(answer); err == nil && filepath.IsAbs(p) {
		if _, err := g.file(filepath.Clean(p), always); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// resources adds what clang reads besides headers: the lists of its sanitizers, and
// which distribution this is.
func (g *gathering) resources(ctx context.Context, driver string) error {
	answer, err := g.ask(ctx, driver, "-print-resource-dir")
	p := strings.TrimSpace(answer)
	if err != nil || !filepath.IsAbs(p) {
		return nil //nolint:nilerr // gcc knows no such question
	}
	for _, f := range distribution {
		g.links(f, often)
	}
	if err := g.tree(settings); err != nil {
		return err
	}
	return g.tree(filepath.Join(filepath.Clean(p), "share"))
}

// settings is where distributions have those of clang.
const settings = "/etc/clang"

// distribution are the files by which clang tells how a distribution links, and
// which gcc's headers and libraries it takes. What follows from them is asked.
var distribution = []string{"/etc/debian_version", "/etc/env.d/gcc", "/etc/lsb-release", "/etc/os-release", "/etc/redhat-release"}

// includeDirs asks a driver where it looks for headers. It knows no language
// for which it has no compiler.
func (g *gathering) includeDirs(ctx context.Context, driver, language string) ([]string, error) {
	answer, err := g.ask(ctx, driver, "-E", "-v", "-x", language, os.DevNull)
	if err != nil {
		if language == "c" {
			return nil, err
		}
		g.text("no language", language)
		return nil, nil
	}
	_, list, ok := strings.Cut(answer, "#include <...> search starts here:\n")
	list, _, end := strings.Cut(list, "End of search list.")
	if !ok || !end {
		return nil, fmt.Errorf("%s does not say where its headers are: declare its programs under `tools`", driver)
	}
	var dirs []string
	for line := range strings.Lines(list) {
		d, _, _ := strings.Cut(strings.TrimSpace(line), " (framework directory)")
		g.text("headers of "+language, d)
		dirs = append(dirs, filepath.Clean(d))
	}
	for line := range strings.Lines(answer) {
		if f, ok := strings.CutPrefix(strings.TrimSpace(line), "Configuration file: "); ok { // of clang
			if _, err := g.file(filepath.Clean(f), always); err != nil {
				return nil, err
			}
		}
	}
	// Where it looked in vain, something may appear.
	for line := range strings.Lines(answer) {
		if d, ok := strings.CutPrefix(strings.TrimSpace(line), "ignoring nonexistent directory "); ok {
			g.fact(filepath.Clean(strings.Trim(d, `"`)), often)
		}
	}
	return dirs, nil
}

// libraries adds what -l and the driver itself can name in a directory.
func (g *gathering) libraries(dir string) error {
	target, err := filepath.EvalSymlinks(dir)
	if err != nil {
		g.fact(filepath.Clean(dir), often)
		return nil //nolint:nilerr // drivers name many directories that are not there
	}
	if !g.first("libraries", target) {
		return nil
	}
	g.fact(target, often)
	entries, err := os.ReadDir(target)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !linkable(e.Name()) || e.IsDir() {
			continue
		}
		if err := g.treeEntry(filepath.Join(target, e.Name()), e.Type()); err != nil {
			return err
		}
	}
	return nil
}

// linkable reports whether links may read a file, by its name. What they read
// besides is an input of theirs: see Linkable of node/compile/remote/link.
func linkable(name string) bool {
	return strings.HasSuffix(name, ".a") || strings.HasSuffix(name, ".o") || strings.HasSuffix(name, ".spec") ||
		(strings.HasPrefix(name, "lib") || strings.HasPrefix(name, "ld")) && (strings.HasSuffix(name, ".so") || strings.Contains(name, ".so."))
}

// binutil matches the names of programs that load plugins for objects which
// they do not know: the target in front of it, whether it is one of gcc's, and
// the version behind.
var binutil = regexp.MustCompile(`^((?:[a-zA-Z0-9_]+-)*?)(gcc-)?(?:ar|nm|ranlib)((?:-[0-9]+(?:\.[0-9]+)*)?)$`)

// plugins adds what a program reads objects with: bfd looks in two directories
// beside its own, and the programs of gcc run others with gcc's own plugin.
func (g *gathering) plugins(ctx context.Context, name, program string) error {
	m := binutil.FindStringSubmatch(name)
	if m == nil {
		return nil
	}
	for _, at := range []string{program, realPath(program)} {
		lib := filepath.Join(filepath.Dir(filepath.Dir(at)), "lib")
		g.fact(lib, often)
		more, err := filepath.Glob(filepath.Join(lib, "*", "bfd-plugins"))
		if err != nil {
			return err
		}
		for _, d := range append(more, filepath.Join(lib, "bfd-plugins")) {
			if err := g.loaded(d); err != nil {
				return err
			}
		}
	}
	if m[2] == "" {
		return nil
	}
	driver, declared, err := g.find(m[1]+"gcc"+m[3], nil)
	if err != nil || declared {
		return err
	}
	for _, n := range []string{"ar", "nm", "ranlib"} {
		if err := g.subprogram(ctx, driver, n); err != nil {
			return err
		}
	}
	return g.file1(ctx, driver, "liblto_plugin.so")
}

// loaded adds a directory of plugins, with the libraries that these need.
func (g *gathering) loaded(dir string) error {
	if err := g.tree(dir); err != nil {
		return err
	}
	plugins, err := filepath.Glob(filepath.Join(dir, "*.so"))
	if err != nil {
		return err
	}
	for _, p := range plugins {
		if err := g.optional(p); err != nil {
			return err
		}
	}
	return nil
}

func realPath(p string) string {
	if target, err := filepath.EvalSymlinks(p); err == nil {
		return target
	}
	return p
}
