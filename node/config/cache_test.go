package config

import (
	"strings"
	"testing"
	"time"
)

func TestHowLongTheCacheKeeps(t *testing.T) {
	for text, want := range map[string][2]time.Duration{
		"":                           {90 * day, 3 * time.Hour},
		"cache: {max_age: 7d}\n":     {7 * day, 3 * time.Hour},
		"cache: {max_age: 36h}\n":    {36 * time.Hour, 3 * time.Hour},
		"cache: {max_age: off}\n":    {0, 3 * time.Hour},
		"cache: {lease: 10m}\n":      {90 * day, 10 * time.Minute},
		"cache: {lease: 1d}\n":       {90 * day, day},
		"cache: {max_age: 36500d}\n": {0, 0}, // more than 32,767 days is a fault
	} {
		s, err := parseSettings([]byte(text))
		if want == [2]time.Duration{} {
			if err == nil {
				t.Errorf("%q: no fault", text)
			}
			continue
		}
		if got := [2]time.Duration{s.MaxAge(), s.Lease()}; err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
	s, err := parseSettings([]byte("cache: {max: some, max_age: old, lease: 1s}\n"))
	if err == nil || strings.Count(err.Error(), "cache.") != 3 {
		t.Errorf("three faults: %v, %+v", err, s)
	}
	for _, text := range []string{"cache: {max_age: 1m}\n", "cache: {max_age: -3d}\n", "cache: {lease: 31d}\n", "cache: {lease: -1h}\n", "cache: {lease: d}\n"} {
		if _, err := parseSettings([]byte(text)); err == nil || !strings.Contains(err.Error(), "cache.") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
