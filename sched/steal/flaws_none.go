//go:build !flaws

package steal

// Without the build tag flaws there are none, and the compiler drops what is
// written for them.
const (
	// flawOldEpoch obeys leaders whose epoch is over.
	flawOldEpoch = false
	// flawEarlyAnnounce announces a finish before a standby has it.
	flawEarlyAnnounce = false
	// flawNoHearing assigns after a take-over without hearing the crew.
	flawNoHearing = false
	// flawForgetLost forgets the steps of a lost worker.
	flawForgetLost = false
	// flawUnsorted walks a map in no order.
	flawUnsorted = false
	// flawBackups gives steps to a second worker whatever that costs.
	flawBackups = false
	// flawPatient has commands wait until stolen work leaves a slot.
	flawPatient = false
	// flawNoRefetch does not have made again what the initiator could not fetch.
	flawNoRefetch = false
)
