package toolchain

import (
	"bufio"
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// find looks a program up as an action would: in its PATH, then in the
// declared directories and their bin. Where it is not is a fact too.
func (g *gathering) find(name string, dirs []string) (p string, declared bool, err error) {
	for d := range strings.SplitSeq(g.p.opts.Path, ":") {
		if p := filepath.Join(d, name); g.executable(p, always) {
			return p, false, nil
		}
	}
	for _, d := range dirs {
		for _, sub := range []string{"", "bin"} {
			if p := filepath.Join(d, sub, name); g.executable(p, always) {
				return p, true, nil
			}
		}
	}
	where := g.p.opts.Path
	if len(dirs) > 0 {
		where += ":" + strings.Join(dirs, ":")
	}
	return "", false, fmt.Errorf("%s is not on this machine (looked in %s): install it, or name its directory under `toolchains`", name, where)
}

func (g *gathering) executable(p string, w watch) bool {
	g.links(p, w)
	info, err := os.Stat(p)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// program adds a program and all that the kernel loads with it: the
// interpreter of a script, the shared libraries of a binary.
func (g *gathering) program(p string) error {
	if !g.first("program", p) {
		return nil
	}
	target, err := g.file(p, always)
	if err != nil {
		return err
	}
	head, err := readHead(target)
	if err != nil {
		return err
	}
	switch {
	case bytes.HasPrefix(head, []byte("#!")):
		return g.interpreter(head[2:])
	case bytes.HasPrefix(head, []byte(elf.ELFMAG)):
		return g.binary(target)
	}
	return nil
}

func readHead(p string) ([]byte, error) {
	f, err := os.Open(p)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, 256) // BINPRM_BUF_SIZE of the kernel
	n, err := f.Read(b)
	if n == 0 && err != nil {
		return nil, nil // an empty file is a program that does nothing
	}
	return b[:n], nil
}

func (g *gathering) interpreter(line []byte) error {
	line, _, _ = bytes.Cut(line, []byte("\n"))
	words := strings.Fields(string(line))
	if len(words) == 0 {
		return nil
	}
	if err := g.optional(words[0]); err != nil {
		return err
	}
	if filepath.Base(words[0]) != "env" {
		return nil
	}
	for _, w := range words[1:] {
		if strings.HasPrefix(w, "-") || strings.Contains(w, "=") {
			continue
		}
		p, _, err := g.find(w, nil)
		if err != nil {
			g.text("absent", w)
			return nil //nolint:nilerr // the script will say so itself, on every such machine
		}
		return g.program(p)
	}
	return nil
}

// optional adds a program that may be absent, which then is what it is.
func (g *gathering) optional(p string) error {
	g.fact(p, always)
	err := g.program(p)
	if errors.Is(err, fs.ErrNotExist) {
		g.text("absent", p)
		return nil
	}
	return err
}

// binary adds what the dynamic linker loads with an ELF file.
func (g *gathering) binary(p string) error {
	f, err := elf.Open(p)
	if err != nil {
		return nil // not for this machine: its content is all there is
	}
	defer func() { _ = f.Close() }()
	for _, s := range f.Progs {
		if s.Type != elf.PT_INTERP || s.Filesz > 4096 {
			continue
		}
		name := make([]byte, s.Filesz)
		if _, err := s.ReadAt(name, 0); err != nil {
			return fmt.Errorf("read %s: %w", p, err)
		}
		if err := g.optional(strings.TrimRight(string(name), "\x00")); err != nil {
			return err
		}
	}
	needed, err := f.ImportedLibraries()
	if err != nil {
		return nil // a static file has none
	}
	search := g.librarySearch(f, filepath.Dir(p))
	for _, lib := range needed {
		if err := g.library(lib, search, f.Class); err != nil {
			return err
		}
	}
	return nil
}

// librarySearch returns where ld.so looks; see ld.so(8).
func (g *gathering) librarySearch(f *elf.File, origin string) []string {
	var dirs []string
	for _, tag := range []elf.DynTag{elf.DT_RPATH, elf.DT_RUNPATH} {
		paths, _ := f.DynString(tag)
		for _, list := range paths {
			for d := range strings.SplitSeq(list, ":") {
				d = strings.NewReplacer("$ORIGIN", origin, "${ORIGIN}", origin).Replace(d)
				dirs = append(dirs, d)
			}
		}
	}
	dirs = append(dirs, g.configuredDirs("/etc/ld.so.conf", 0)...)
	return append(dirs, "/lib64", "/usr/lib64", "/lib", "/usr/lib")
}

// configuredDirs reads an ld.so.conf.
func (g *gathering) configuredDirs(file string, depth int) []string {
	g.fact(file, always)
	in, err := os.Open(file)
	if err != nil || depth > 8 {
		return nil
	}
	defer in.Close()
	var dirs []string
	for lines := bufio.NewScanner(in); lines.Scan(); {
		line, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(line)
		switch {
		case len(words) == 2 && words[0] == "include":
			pattern := words[1]
			g.fact(filepath.Dir(pattern), often)
			files, _ := filepath.Glob(pattern)
			for _, f := range files {
				dirs = append(dirs, g.configuredDirs(f, depth+1)...)
			}
		case len(words) == 1:
			dirs = append(dirs, words[0])
		}
	}
	return dirs
}

// library adds the first file of that name and of the program's word size.
func (g *gathering) library(name string, search []string, class elf.Class) error {
	if strings.Contains(name, "/") {
		return g.optional(name)
	}
	for _, d := range search {
		p := filepath.Join(d, name)
		f, err := elf.Open(p)
		if err != nil {
			continue
		}
		same := f.Class == class
		_ = f.Close()
		if same {
			return g.program(p)
		}
	}
	g.text("absent", name)
	return nil
}
