//go:build flaws

package steal

import "os"

// The flaws are bugs planted one at a time, to show that package simulations
// finds them: BUILDNET_FLAW names the one that is there. See flaws_none.go.
var (
	flawOldEpoch      = os.Getenv("BUILDNET_FLAW") == "old-epoch"
	flawEarlyAnnounce = os.Getenv("BUILDNET_FLAW") == "early-announce"
	flawNoHearing     = os.Getenv("BUILDNET_FLAW") == "no-hearing"
	flawForgetLost    = os.Getenv("BUILDNET_FLAW") == "forget-lost"
	flawUnsorted      = os.Getenv("BUILDNET_FLAW") == "unsorted"
	flawBackups       = os.Getenv("BUILDNET_FLAW") == "backups"
	flawPatient       = os.Getenv("BUILDNET_FLAW") == "patient"
	flawNoRefetch     = os.Getenv("BUILDNET_FLAW") == "no-refetch"
)
