package worktree

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	tempPrefix = ".buildnet-tmp."
	// tempAge is when a temporary file is abandoned, though a process with the
	// ID of its writer runs: process IDs come again.
	tempAge = time.Hour
)

var (
	// tempToken tells this process from another that had its ID.
	tempToken = strings.ToLower(rand.Text()[:12])
	tempOwner = tempPrefix + strconv.Itoa(os.Getpid()) + "." + tempToken + "."
	tempCount atomic.Uint64
)

// tempName returns a name that nothing else has: with the process, so that what
// a dead one left can be told.
func tempName() string { return tempOwner + strconv.FormatUint(tempCount.Add(1), 10) }

func isTemp(name string) bool { return strings.HasPrefix(name, tempPrefix) }

// abandoned reports whether the writer of a temporary file is gone.
func abandoned(name string, modified, now time.Time) bool {
	parts := strings.Split(strings.TrimPrefix(name, tempPrefix), ".")
	if len(parts) != 3 {
		return false // not ours
	}
	pid, err := strconv.Atoi(parts[0])
	if err != nil || pid <= 0 || parts[1] == tempToken {
		return false
	}
	return pid == os.Getpid() || !alive(pid) || now.Sub(modified) > tempAge
}

// lstat returns the stat of a name in a directory.
func lstat(dir *os.Root, name string) (Stat, error) {
	d, err := dir.Open(".")
	if err != nil {
		return Stat{}, err
	}
	defer func() { _ = d.Close() }()
	return statIn(d, name)
}

// Link implements Files.
func (l *local) Link(_ context.Context, p, target string) (Stat, error) {
	d, name, err := l.dir(p)
	if err != nil {
		return Stat{}, fmt.Errorf("link %s: %w", p, err)
	}
	defer func() { _ = d.Close() }()
	temp := tempName()
	if err := d.Symlink(filepath.FromSlash(target), temp); err != nil {
		return Stat{}, fmt.Errorf("link %s: %w", p, err)
	}
	if err := d.Rename(temp, name); err != nil {
		_ = d.Remove(temp)
		return Stat{}, fmt.Errorf("link %s: %w", p, err)
	}
	return lstat(d, name)
}

// Chmod implements Files. Who may execute it is who may read it.
func (l *local) Chmod(_ context.Context, p string, mode Mode) (Stat, error) {
	d, name, err := l.dir(p)
	if err != nil {
		return Stat{}, fmt.Errorf("chmod %s: %w", p, err)
	}
	defer func() { _ = d.Close() }()
	info, err := d.Lstat(name)
	if err != nil {
		return Stat{}, fmt.Errorf("chmod %s: %w", p, err)
	}
	perm := info.Mode().Perm() &^ 0o111
	if mode == Exec {
		perm |= perm >> 2 & 0o111
	}
	if err := d.Chmod(name, perm); err != nil {
		return Stat{}, fmt.Errorf("chmod %s: %w", p, err)
	}
	return lstat(d, name)
}
