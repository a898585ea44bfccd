package toolchain

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// drivers are those whose compilers are part of a host that has them.
var drivers = []string{"cc", "c++", "gcc", "g++", "clang", "clang++"}

// host adds what is installed: the packages, every program in PATH, the
// compilers with what they read, and /usr/local, which no package manager
// knows.
func (g *gathering) host(ctx context.Context) error {
	if err := g.packages(); err != nil {
		return err
	}
	found := g.drivers(ctx)
	for d := range strings.SplitSeq(g.p.opts.Path, ":") {
		if err := g.programsIn(d); err != nil {
			return err
		}
	}
	if err := g.tree(filepath.Join(g.p.opts.System, "usr/local")); err != nil {
		return err
	}
	for _, d := range found {
		if d.err == nil {
			d.err = g.linker(ctx, d.path)
		}
		if d.err != nil {
			g.text("broken driver", d.name) // then it is no part of what works here
		}
	}
	return nil
}

// hostDriver is a compiler driver that is there.
type hostDriver struct {
	name, path string
	err        error // of the look at its program
}

// drivers adds the programs of those that are there, and has them asked.
func (g *gathering) drivers(ctx context.Context) (found []hostDriver) {
	for _, n := range drivers {
		p, _, err := g.find(n, nil)
		if err != nil {
			continue
		}
		d := hostDriver{n, p, g.program(p)}
		if d.err == nil {
			g.askAhead(ctx, p)
		}
		found = append(found, d)
	}
	return found
}

func (g *gathering) programsIn(dir string) error {
	if _, there := g.fact(dir, often); !there {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		p := filepath.Join(dir, e.Name())
		if !e.IsDir() && g.executable(p, often) {
			if _, err := g.file(p, often); err != nil && !os.IsPermission(err) {
				return err
			}
		}
	}
	return nil
}

// databases of package managers: the file, and the fields of a package in it
// that tell what is installed. Where it has none, all of it counts.
var databases = []struct {
	file   string
	fields []string
}{
	{"var/lib/dpkg/status", []string{"Package:", "Version:", "Architecture:", "Status:"}},
	{"lib/apk/db/installed", []string{"P:", "V:", "A:", "C:"}},
	{"var/lib/rpm/rpmdb.sqlite", nil},
	{"var/lib/rpm/Packages.db", nil},
	{"var/lib/rpm/Packages", nil},
	{"usr/lib/sysimage/rpm/rpmdb.sqlite", nil},
	{"usr/lib/sysimage/rpm/Packages.db", nil},
}

func (g *gathering) packages() error {
	found := false
	for _, db := range databases {
		p := filepath.Join(g.p.opts.System, db.file)
		if _, there := g.fact(p, always); !there {
			continue
		}
		found = true
		if err := g.database(p, db.fields); err != nil {
			return fmt.Errorf("installed packages: %w", err)
		}
	}
	pacman := filepath.Join(g.p.opts.System, "var/lib/pacman/local")
	if _, there := g.fact(pacman, always); there {
		found = true
		if err := g.names(pacman); err != nil {
			return fmt.Errorf("installed packages: %w", err)
		}
	}
	if !found {
		// What is installed here cannot be known, so it is like nothing else.
		name, _ := os.Hostname()
		g.text("no package database on", name)
	}
	return nil
}

func (g *gathering) database(p string, fields []string) error {
	if fields == nil {
		_, err := g.file(p, always)
		return err
	}
	in, err := os.Open(p)
	if err != nil {
		return err
	}
	defer in.Close()
	var entry []string
	flush := func() {
		if len(entry) > 0 {
			g.text("package", strings.Join(entry, "\n"))
		}
		entry = nil
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if line == "" {
			flush()
		}
		for _, f := range fields {
			if strings.HasPrefix(line, f) {
				entry = append(entry, line)
			}
		}
	}
	flush()
	return lines.Err()
}

// names adds the names in a directory: pacman has one for each package.
func (g *gathering) names(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		g.text("package", e.Name())
	}
	return nil
}
