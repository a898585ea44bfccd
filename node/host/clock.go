package host

import "time"

var start = time.Now()

// since is the time where a thread's CPU time cannot be read.
func since() time.Duration { return time.Since(start) }
