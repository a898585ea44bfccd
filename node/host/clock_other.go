//go:build !linux

package host

import "time"

func threadTime() time.Duration { return since() }
