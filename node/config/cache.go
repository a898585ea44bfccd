package config

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

const (
	// day is how ages are written.
	day = 24 * time.Hour
	// defaultMaxAge is longer than holidays, and than most branches live.
	defaultMaxAge = 90 * day
	minMaxAge     = time.Hour
	// defaultLease is as long as Bazel takes for granted that what it was told of is
	// there, unless --experimental_remote_cache_ttl says otherwise.
	defaultLease = 3 * time.Hour
	// minLease is how exactly the end of a promise is known, maxLease as good as
	// for ever.
	minLease, maxLease = time.Minute, 30 * day
)

// cacheFile is the part of node.yaml on the store.
type cacheFile struct {
	Max    string `yaml:"max"`
	MaxAge string `yaml:"max_age"`
	Lease  string `yaml:"lease"`
}

// MaxAge is how long a blob stays in the store that nobody uses; 0 is for ever.
func (s Settings) MaxAge() time.Duration {
	if s.CacheMaxAge < 0 {
		return 0
	}
	return cmp.Or(s.CacheMaxAge, defaultMaxAge)
}

// Lease is for how long clients are promised what they were told is here.
func (s Settings) Lease() time.Duration { return cmp.Or(s.CacheLease, defaultLease) }

// parse sets what the file says; all faults are reported.
func (f *cacheFile) parse(s *Settings) (errs []error) {
	var err error
	if f.Max != "" {
		n, err := humanize.ParseBytes(f.Max)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("cache.max: %q is no size; write it like 20GiB", f.Max))
		case n < minCache || n > 1<<62:
			errs = append(errs, fmt.Errorf("cache.max: %s is not between %s and 4 EiB", f.Max, humanize.IBytes(minCache)))
		}
		s.CacheMaxBytes = int64(min(n, 1<<62))
	}
	if s.CacheMaxAge, err = parseAge(f.MaxAge); err != nil {
		errs = append(errs, err)
	}
	if s.CacheLease, err = parseLease(f.Lease); err != nil {
		errs = append(errs, err)
	}
	return errs
}

func parseAge(text string) (time.Duration, error) {
	switch text {
	case "":
		return 0, nil
	case "off":
		return -1, nil
	}
	d, err := parseLong(text)
	if err != nil || d < minMaxAge {
		return 0, fmt.Errorf("cache.max_age: %q is no age; write it like 90d or 36h, an hour at least, or off", text)
	}
	return d, nil
}

func parseLease(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := parseLong(text)
	if err != nil {
		return 0, fmt.Errorf("cache.lease: %q is no duration; write it like 2h", text)
	}
	if d < minLease || d > maxLease {
		return 0, fmt.Errorf("cache.lease: %s is not between %v and %dd", text, minLease, maxLease/day)
	}
	return d, nil
}

// parseLong is time.ParseDuration that knows days, at most 100 years of them.
func parseLong(text string) (time.Duration, error) {
	days, ok := strings.CutSuffix(text, "d")
	if !ok {
		return time.ParseDuration(text)
	}
	n, err := strconv.ParseUint(days, 10, 15)
	return time.Duration(n) * day, err
}
