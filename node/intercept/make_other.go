//go:build !linux

package intercept

import "context"

// Open returns ErrUnsupported.
func Open(context.Context, string, []string) (*Kit, error) { return nil, ErrUnsupported }
