//go:build !linux

package host

import "fmt"

// Load is none.
type Load struct{}

// NewLoad returns ErrUnmeasured.
func NewLoad(string) (*Load, error) {
	return nil, fmt.Errorf("%w: not on this operating system", ErrUnmeasured)
}

// Read returns ErrUnmeasured.
func (*Load) Read() (Use, error) { return Use{}, ErrUnmeasured }

// HasBattery is not known.
func HasBattery(string) bool { return false }
