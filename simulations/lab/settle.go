//go:build lab && linux

package lab

import (
	"testing"
	"time"
)

const (
	// quiet is what a host may use while it has nothing to do, in cores.
	quiet = 0.04
	// settleTime is how long its node may take until then: it looks at all of its
	// toolchains when it has come up.
	settleTime = 2 * time.Minute
)

// Settle waits until the nodes on the hosts are as they are for most of their lives.
func Settle(tb testing.TB, hosts []*Host) {
	tb.Helper()
	const interval = 3 * time.Second
	for deadline := time.Now().Add(settleTime); time.Now().Before(deadline); {
		before := usedBy(hosts)
		<-time.After(interval)
		if usedBy(hosts)-before < time.Duration(quiet*float64(len(hosts))*float64(interval)) {
			return
		}
	}
	tb.Fatalf("the nodes still use more than %v of a core each after %v", quiet, settleTime)
}
