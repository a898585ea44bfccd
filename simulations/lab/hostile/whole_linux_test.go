//go:build lab

package hostile_test

import "time"

// scale and pause are of all the harm, for longer than a message may take.
const (
	scale = 1.0
	pause = 8 * time.Second
)
