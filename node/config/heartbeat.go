package config

import (
	"cmp"
	"fmt"
	"time"
)

const (
	// defaultHeartbeat is often enough for people, and in the place of beats that
	// are sent anyway.
	defaultHeartbeat = 2 * time.Second
	// minHeartbeat bounds what 64 workers may cost a leader, maxHeartbeat is as
	// good as never.
	minHeartbeat, maxHeartbeat = 200 * time.Millisecond, time.Hour
)

// StatusEvery is how often this node says how it is to those for whose builds it
// works.
func (s Settings) StatusEvery() time.Duration { return cmp.Or(s.Heartbeat, defaultHeartbeat) }

func parseHeartbeat(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("heartbeat: %q is no duration; write it like 2s", text)
	}
	if d < minHeartbeat || d > maxHeartbeat {
		return 0, fmt.Errorf("heartbeat: %v is not between %v and %v", d, minHeartbeat, maxHeartbeat)
	}
	return d, nil
}
