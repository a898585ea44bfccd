//go:build !linux

package reapi

import (
	"errors"
	"net/netip"
)

// owner is of systems that do not tell.
func owner(_, _ netip.AddrPort) (uid uint32, err error) {
	return 0, errors.ErrUnsupported
}
