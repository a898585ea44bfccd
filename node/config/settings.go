package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/goccy/go-yaml"
)

// Settings are what a node's owner may change; nothing has to be.
type Settings struct {
	// CacheMaxBytes bounds the store; 0 is a tenth of the disk.
	CacheMaxBytes int64
	// CacheMaxAge is how long an unused blob stays; 0 is the default, less is for
	// ever.
	CacheMaxAge time.Duration
	// CacheLease is for how long clients are promised what is here; 0 is the
	// default.
	CacheLease time.Duration
	// ShareReduced lets other members use results that were made here without
	// full isolation.
	ShareReduced bool
	// ToolchainDirs are visible to actions beside the default ones.
	ToolchainDirs []string
	// Share is what other members may use of this machine at most; 0 is all.
	Share float64
	// Yield gives way to the owner's own use of the machine, and on battery.
	Yield Switch
	// KeepForOthersBytes bounds what is kept of the builds of others, to go on with
	// them when their machine dies; 0 is the default. It is a quarter of the store at
	// most.
	KeepForOthersBytes int64
	// TrustedCommands are patterns of commands that read nothing but what a graph
	// declares and what is installed, each as words with * for anything.
	TrustedCommands []string
	// PathIndependent has compiles be the same in every checkout that do not depend
	// on its place.
	PathIndependent bool
	// Heartbeat is how often leaders hear how this node is; 0 is the default.
	Heartbeat time.Duration
	REAPI     REAPI
}

// Switch is a setting that is on or off, or not set.
type Switch string

// The switches; what an Unset one is follows from the machine.
const (
	Unset Switch = ""
	On    Switch = "on"
	Off   Switch = "off"
)

// settingsName is the file within the home.
const settingsName = "node.yaml"

// minCache keeps room for the inputs of one large action.
const minCache = 64 << 20

// settingsFile is the form of node.yaml.
type settingsFile struct {
	Cache         cacheFile `yaml:"cache"`
	ShareReduced  bool      `yaml:"share_reduced"`
	ToolchainDirs []string  `yaml:"toolchain_dirs"`
	Trusted       []string  `yaml:"trusted_commands"`
	Share         *float64  `yaml:"share"`
	Yield         Switch    `yaml:"yield"`
	Heartbeat     string    `yaml:"heartbeat"`
	KeepForOthers string    `yaml:"keep_for_others"`
	CPP           struct {
		PathIndependent bool `yaml:"path_independent"`
	} `yaml:"cpp"`
	REAPI reapiFile `yaml:"reapi"`
}

// LoadSettings reads node.yaml in home; without one it returns the defaults.
// All faults are reported at once.
func LoadSettings(home string) (Settings, error) {
	path := filepath.Join(home, settingsName)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Settings{}, nil
	}
	if err != nil {
		return Settings{}, fmt.Errorf("read settings: %w", err)
	}
	s, err := parseSettings(raw)
	if err != nil {
		return Settings{}, fmt.Errorf("settings %s: %w", path, err)
	}
	return s, nil
}

func parseSettings(raw []byte) (Settings, error) {
	var f settingsFile
	if len(bytes.TrimSpace(raw)) > 0 {
		if err := yaml.UnmarshalWithOptions(raw, &f, yaml.Strict()); err != nil {
			return Settings{}, err
		}
	}
	s := Settings{ShareReduced: f.ShareReduced, ToolchainDirs: f.ToolchainDirs, Yield: f.Yield, TrustedCommands: f.Trusted, PathIndependent: f.CPP.PathIndependent}
	var errs []error
	if f.Share != nil {
		s.Share = *f.Share
		errs = append(errs, CheckShare(s.Share))
	}
	errs = append(errs, f.Yield.Check())
	errs = append(errs, f.Cache.parse(&s)...)
	if f.KeepForOthers != "" {
		n, err := humanize.ParseBytes(f.KeepForOthers)
		if err != nil || n == 0 || n > 1<<62 {
			errs = append(errs, fmt.Errorf("keep_for_others: %q is no size; write it like 4GiB", f.KeepForOthers))
		}
		s.KeepForOthersBytes = int64(min(n, 1<<62))
	}
	beat, err := parseHeartbeat(f.Heartbeat)
	s.Heartbeat = beat
	errs = append(errs, err)
	s.REAPI, err = f.REAPI.parse()
	errs = append(errs, err)
	for _, d := range f.ToolchainDirs {
		if !filepath.IsAbs(d) || filepath.Clean(d) != d {
			errs = append(errs, fmt.Errorf("toolchain_dirs: %q is not a clean absolute path", d))
		}
	}
	for _, c := range f.Trusted {
		if strings.Trim(c, " \t*") == "" {
			errs = append(errs, fmt.Errorf("trusted_commands: %q means every command; name programs, such as protoc, or \"python3 */gen.py\"", c))
		}
	}
	return s, errors.Join(errs...)
}
