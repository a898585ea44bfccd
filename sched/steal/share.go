package steal

// Exchange is what a build takes from the caches of the mesh, and gives to them.
// Do not reorder: the numbers go over the wire.
type Exchange uint8

const (
	// TakeAndGive asks for the results of others, and gives them its own.
	TakeAndGive Exchange = iota
	// GiveOnly asks nobody for results.
	GiveOnly
	// TakeOnly gives nobody its own results: the initiator alone keeps them.
	TakeOnly
)

// Copies says who has the outputs of a build when it is over. Do not reorder: the
// numbers go over the wire.
type Copies uint8

const (
	// BothKeep are who made an output, and the initiator.
	BothKeep Copies = iota
	// InitiatorKeeps is the initiator.
	InitiatorKeeps
	// MakerKeeps is who made it.
	MakerKeeps
)

// Forget reports whether a worker is to forget what it made, once the build has
// it.
func (m Modes) Forget() bool { return m.Exchange == TakeOnly || m.Copies == InitiatorKeeps }
