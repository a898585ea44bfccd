package config

import (
	"strings"
	"testing"
	"time"
)

func TestHeartbeatIsASetting(t *testing.T) {
	for text, want := range map[string]time.Duration{"": 2 * time.Second, "heartbeat: 500ms\n": 500 * time.Millisecond} {
		s, err := parseSettings([]byte(text))
		if err != nil || s.StatusEvery() != want {
			t.Errorf("%q: every %v, %v", text, s.StatusEvery(), err)
		}
	}
	for _, text := range []string{"heartbeat: often\n", "heartbeat: 1ms\n", "heartbeat: 2h\n", "heartbeat: 7\n"} {
		if _, err := parseSettings([]byte(text)); err == nil || !strings.Contains(err.Error(), "heartbeat") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
