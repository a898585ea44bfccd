//go:build !lab

package hostile_test

import "time"

// scale and pause are of a twentieth of the harm.
const (
	scale = 0.05
	pause = time.Second
)
