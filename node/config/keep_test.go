package config

import (
	"strings"
	"testing"
)

func TestWhatIsKeptForOthers(t *testing.T) {
	for text, want := range map[string]int64{"": 0, "keep_for_others: 1GiB\n": 1 << 30} {
		if s, err := parseSettings([]byte(text)); err != nil || s.KeepForOthersBytes != want {
			t.Errorf("%q: %d bytes, %v", text, s.KeepForOthersBytes, err)
		}
	}
	for _, text := range []string{"keep_for_others: much\n", "keep_for_others: 0\n"} {
		if _, err := parseSettings([]byte(text)); err == nil || !strings.Contains(err.Error(), "keep_for_others") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestPathIndependenceIsAskedFor(t *testing.T) {
	for text, want := range map[string]bool{"": false, "cpp:\n  path_independent: true\n": true} {
		if s, err := parseSettings([]byte(text)); err != nil || s.PathIndependent != want {
			t.Errorf("%q: %v, %v", text, s.PathIndependent, err)
		}
	}
}
