// Package config is where a node lives and what it can be told: its home, the
// settings file in it, and where a project begins. It reads files and starts
// nothing. Start reading at Home and Settings.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Defaults of a node's addresses.
const (
	DefaultListen = "0.0.0.0:7946"
	DefaultAPI    = "127.0.0.1:9876"
	// SystemHome is the home of a node that serves every user of a machine.
	SystemHome = "/var/lib/buildnet"
	// SocketName is the node's socket within its home.
	SocketName = "node.sock"
	// SystemGroup may use the socket of the node in SystemHome.
	SystemGroup = "buildnet"
)

// version is set by the linker: see the Makefile.
var version = "unknown"

// Version returns the version of this program.
func Version() string { return version }

// Home returns the home that is this user's own: flag if it is not empty, else
// BUILDNET_HOME, else the XDG state directory, or SystemHome for root. The
// result is absolute.
func Home(flag string) (string, error) {
	home := flag
	if home == "" {
		home = os.Getenv("BUILDNET_HOME")
	}
	if home == "" {
		var err error
		if home, err = userHome(); err != nil {
			return "", err
		}
	}
	abs, err := filepath.Abs(home)
	if err != nil {
		return "", fmt.Errorf("home %s: %w; give an absolute path with --home", home, err)
	}
	return abs, nil
}

func userHome() (string, error) {
	if os.Geteuid() == 0 {
		return SystemHome, nil
	}
	if state := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return filepath.Join(state, "buildnet"), nil
	}
	dir, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find the home directory: %w; name one with --home", err)
	}
	return filepath.Join(dir, ".local", "state", "buildnet"), nil
}

// Homes returns where the command line looks for a running node, best first.
// A home that was asked for by flag or environment is the only one.
func Homes(flag string) ([]string, error) {
	own, err := Home(flag)
	if err != nil {
		return nil, err
	}
	if flag != "" || os.Getenv("BUILDNET_HOME") != "" || own == SystemHome {
		return []string{own}, nil
	}
	return []string{own, SystemHome}, nil
}

// ProjectFiles are the names of a project's configuration, from its root.
var ProjectFiles = []string{".buildnet/config.yaml", ".buildnet/config.json"}

// ErrNoProject says that no directory on the way to the root of the file
// system holds a project's configuration.
var ErrNoProject = errors.New("no .buildnet/config.yaml here or above")

// ProjectRoot returns the nearest directory at or above dir that has a
// project's configuration.
func ProjectRoot(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("project directory %s: %w", dir, err)
	}
	if info, err := os.Stat(abs); err != nil {
		return "", fmt.Errorf("project directory: %w", err)
	} else if !info.IsDir() {
		return "", fmt.Errorf("project directory %s: not a directory", abs)
	}
	for at := abs; ; at = filepath.Dir(at) {
		for _, name := range ProjectFiles {
			_, err := os.Stat(filepath.Join(at, filepath.FromSlash(name)))
			if err == nil {
				return at, nil
			}
			if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
				return "", fmt.Errorf("look for a project: %w", err)
			}
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("project directory %s: %w; write one as docs/config.md shows, or name the project with -C", abs, ErrNoProject)
		}
	}
}
