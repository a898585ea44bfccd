//go:build !unix

package ninja

import (
	"os"
	"time"
)

// used is what a process has used that has ended.
func used(p *os.ProcessState) (cpu time.Duration, maxRSS int64) {
	if p == nil {
		return 0, 0
	}
	return p.UserTime() + p.SystemTime(), 0
}
