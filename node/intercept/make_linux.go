package intercept

import (
	"bytes"
	"context"
	"crypto/sha256"
	"debug/elf"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

//go:embed native
var native embed.FS

const (
	// makeTime bounds the making of a kit: it takes a second of a slow machine.
	makeTime = 2 * time.Minute
	// maxSaid bounds what is told of a compiler that failed, in bytes.
	maxSaid = 2000
	// kitAge is when a kit that was not used for as long is removed: whatever has run
	// with it has ended. What was being made goes after newAge.
	kitAge = 30 * 24 * time.Hour
	newAge = time.Hour
	// digestSize is how much of a digest names a directory, in bytes.
	digestSize = 16
)

// flags are those of all our programs. Warnings of compilers to come are no faults.
var flags = []string{"-std=gnu11", "-O2", "-fno-strict-aliasing"}

// Open returns the kit for the compiler that environ's PATH has, and makes it
// below dir, a directory of this user's, if it is not there yet. It refuses what
// anybody else could have put there.
func Open(ctx context.Context, dir string, environ []string) (*Kit, error) {
	environ = Clean(environ)
	m := maker{environ: environ}
	var err error
	if m.cc, err = compiler(environ); err != nil {
		return nil, err
	}
	digest, err := m.digest()
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, fmt.Errorf("directory of what intercepts commands: %w", err)
	}
	if strings.ContainsAny(dir, ": \t\n$") {
		return nil, fmt.Errorf("the loader takes no library from %s: the path has a space, a colon or a dollar in it; choose another --home", dir)
	}
	k := &Kit{dir: filepath.Join(dir, digest)}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("directory of what intercepts commands: %w", err)
	}
	if _, err := os.Lstat(k.dir); errors.Is(err, fs.ErrNotExist) {
		if err := m.make(ctx, k.dir); err != nil {
			return nil, err
		}
	}
	if err := k.check(dir); err != nil {
		return nil, err
	}
	now := time.Now()
	_ = os.Chtimes(k.dir, now, now) // where nothing can be written nothing is swept either
	sweep(dir, now)
	return k, k.link(environ)
}

// newPrefix is that of directories that are being made.
const newPrefix = ".new-"

// sweep removes kits that nobody has used for long, as those of a compiler or of a
// version of this program that are gone. What it cannot remove stays.
func sweep(dir string, now time.Time) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		age := kitAge
		if strings.HasPrefix(e.Name(), newPrefix) {
			age = newAge
		} else if raw, err := hex.DecodeString(e.Name()); err != nil || len(raw) != digestSize {
			continue
		}
		if info, err := e.Info(); err == nil && now.Sub(info.ModTime()) > age {
			_ = os.RemoveAll(filepath.Join(dir, e.Name()))
		}
	}
}

// maker makes kits.
type maker struct {
	cc      string
	environ []string
}

// compiler finds the compiler that makes programs for this machine.
func compiler(environ []string) (string, error) {
	for _, name := range []string{"cc", "gcc", "clang"} {
		for _, dir := range filepath.SplitList(value(environ, "PATH")) {
			path := filepath.Join(dir, name)
			if info, err := os.Stat(path); err == nil && filepath.IsAbs(path) && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
				return path, nil
			}
		}
	}
	return "", ErrNoCompiler
}

// digest names what make would make.
func (m *maker) digest() (string, error) {
	path, err := filepath.EvalSymlinks(m.cc)
	if err != nil {
		return "", fmt.Errorf("find the C compiler: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("find the C compiler: %w", err)
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%d\n%d\n%q\n", path, info.Size(), info.ModTime().UnixNano(), flags)
	err = fs.WalkDir(native, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := native.ReadFile(name)
		fmt.Fprintf(h, "%s %d\n%s", name, len(text), text)
		return err
	})
	return hex.EncodeToString(h.Sum(nil)[:digestSize]), err
}

// make makes a kit under another name and renames it, so that it is there whole
// or not at all.
func (m *maker) make(ctx context.Context, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, makeTime)
	defer cancel()
	temp, err := os.MkdirTemp(filepath.Dir(dir), newPrefix)
	if err != nil {
		return fmt.Errorf("make what intercepts commands: %w", err)
	}
	defer func() { _ = os.RemoveAll(temp) }() // what is left is no kit
	if err := m.build(ctx, temp); err != nil {
		return fmt.Errorf("make what intercepts commands: %w", err)
	}
	if err := os.Rename(temp, dir); err != nil {
		if _, there := os.Lstat(dir); there != nil {
			return fmt.Errorf("make what intercepts commands: %w", err)
		}
		// Another process was faster.
	}
	return nil
}

// build compiles everything into dir, and tries it.
func (m *maker) build(ctx context.Context, dir string) error {
	sources := filepath.Join(dir, "native")
	if err := os.CopyFS(dir, native); err != nil {
		return err
	}
	source := func(name string) string { return filepath.Join(sources, name) }
	launch, preload, shim := filepath.Join(dir, launchName), filepath.Join(dir, preloadName), filepath.Join(dir, shimName)
	if err := m.compile(ctx, "-o", launch, source("launch.c")); err != nil {
		return err
	}
	loader, err := loaderOf(launch)
	if err != nil {
		return err
	}
	if err := m.compile(ctx, "-shared", "-fPIC", "-fvisibility=hidden", "-DLOADER="+strconv.Quote(loader), "-o", preload, source("preload.c"), "-ldl"); err != nil {
		return err
	}
	// A static shim starts in half the time. Not every machine has what it takes.
	parts := []string{"-o", shim, source("shim.c"), source("talk.c"), source("hold.c"), source("rules.c")}
	if err := m.compile(ctx, append([]string{"-static"}, parts...)...); err != nil {
		if err := m.compile(ctx, parts...); err != nil {
			return err
		}
	}
	if err := m.try(ctx, dir); err != nil {
		return err
	}
	return os.RemoveAll(sources)
}

// compile calls the compiler.
func (m *maker) compile(ctx context.Context, args ...string) error {
	c := exec.CommandContext(ctx, m.cc, slices.Concat(flags, args)...)
	c.Env = append(slices.Clone(m.environ), "LC_ALL=C")
	said, err := c.CombinedOutput()
	if err == nil {
		return nil
	}
	if len(said) > maxSaid {
		said = said[:maxSaid]
	}
	return fmt.Errorf("%s: %w\n%s", c, err, bytes.TrimSpace(said))
}

// try has the loader take the library, and each program run: a file system may
// refuse to.
func (m *maker) try(ctx context.Context, dir string) error {
	for _, argv := range [][]string{{launchName, "/bin/sh", "-c", ":"}, {shimName, "/bin/sh", "sh", "-c", ":"}} {
		c := exec.CommandContext(ctx, filepath.Join(dir, argv[0]), argv[1:]...)
		c.Env = append(slices.Clone(m.environ), preloadVariable+"="+filepath.Join(dir, preloadName), "LD_BIND_NOW=1")
		if said, err := c.CombinedOutput(); err != nil || len(said) > 0 {
			return fmt.Errorf("try %s in %s: %v: %s; choose another --home", argv[0], dir, err, bytes.TrimSpace(said)) //nolint:errorlint // nil if it only said something
		}
	}
	return nil
}

// loaderOf returns the loader of a program.
func loaderOf(path string) (string, error) {
	f, err := elf.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			text, err := io.ReadAll(p.Open())
			return strings.TrimRight(string(text), "\x00"), err
		}
	}
	return "", errors.New("the C compiler makes static programs only: there is no loader that takes a library")
}

// check refuses a kit that is not this user's alone to write.
func (k *Kit) check(parent string) error {
	paths := []string{parent, k.dir}
	for _, name := range []string{launchName, preloadName, shimName} {
		paths = append(paths, filepath.Join(k.dir, name))
	}
	for i, path := range paths {
		info, err := os.Lstat(path)
		if err != nil {
			return fmt.Errorf("what intercepts commands: %w; remove %s", err, k.dir)
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		switch {
		case i < 2 && !info.IsDir(), i >= 2 && !info.Mode().IsRegular():
			return fmt.Errorf("%s is no plain file or directory; remove it", path)
		case !ok || int(st.Uid) != os.Geteuid():
			return fmt.Errorf("%s belongs to another user: what would intercept commands is not used; remove it, or choose another --home", path)
		case info.Mode().Perm()&0o022 != 0:
			return fmt.Errorf("%s may be written by others: what would intercept commands is not used; remove it, or choose another --home", path)
		}
	}
	return nil
}

// link makes the directory of links to the shim, one for each tool that the
// user's PATH has, and no other: nobody is to see a compiler that is not there.
func (k *Kit) link(environ []string) error {
	names := tools(value(environ, "PATH"))
	sum := sha256.Sum256([]byte(strings.Join(names, "\n")))
	k.shims = filepath.Join(k.dir, "path-"+hex.EncodeToString(sum[:digestSize]))
	if _, err := os.Lstat(k.shims); err == nil {
		return nil
	}
	temp, err := os.MkdirTemp(k.dir, newPrefix)
	if err != nil {
		return fmt.Errorf("make links of tools: %w", err)
	}
	defer func() { _ = os.RemoveAll(temp) }() // what is left is no kit
	for _, name := range names {
		if err := os.Symlink(filepath.Join("..", shimName), filepath.Join(temp, name)); err != nil {
			return fmt.Errorf("make links of tools: %w", err)
		}
	}
	if err := os.Rename(temp, k.shims); err != nil {
		if _, there := os.Lstat(k.shims); there != nil {
			return fmt.Errorf("make links of tools: %w", err)
		}
	}
	return nil
}

// tools returns the names of all compilers and archivers in PATH, sorted.
func tools(list string) []string {
	var names []string
	for _, dir := range filepath.SplitList(list) {
		if !filepath.IsAbs(dir) {
			continue
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // nothing is found in it either
		}
		for _, e := range entries {
			if !tool.MatchString(e.Name()) {
				continue
			}
			if info, err := os.Stat(filepath.Join(dir, e.Name())); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
				names = append(names, e.Name())
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
