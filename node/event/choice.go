package event

// Choice is where a step ran that could have run here as well as on another
// machine, why, and what came of that. Times are from the decision on until the
// outputs are here.
type Choice struct {
	// Why is sent, kept (to send it did not pay), shared (kept although it would
	// have paid as well), probed (sent to see whether it pays again) or ventured (sent
	// as this machine had enough else to do, and more was to come).
	Why string `json:"why"`
	// Peer got it, or would have been the best of those that did not.
	Peer string `json:"peer"`
	// HereMS and ThereMS were expected; by ByMS it was needed.
	HereMS  int64 `json:"here_ms"`
	ThereMS int64 `json:"there_ms"`
	ByMS    int64 `json:"by_ms"`
	CameMS  int64 `json:"came_ms"`
	// RegretMS is how much later it came than the other way would have brought it,
	// and than it was needed.
	RegretMS int64 `json:"regret_ms"`
}

// Choices is what a build's choices between this machine and others came to.
type Choices struct {
	Sent   int `json:"sent"`
	Kept   int `json:"kept"`
	Shared int `json:"shared"`
	Probed int `json:"probed"`
	// AloneMS is what the steps that were run would have taken here alone, at
	// least, by what they took; TookMS is what they did take, SavedMS the difference.
	AloneMS int64 `json:"alone_ms"`
	TookMS  int64 `json:"took_ms"`
	SavedMS int64 `json:"saved_ms"`
	// RegretMS is of the steps that the end of the build waited for, each for the
	// one before; StepsRegretMS is of all.
	RegretMS      int64   `json:"regret_ms"`
	RegretPercent float64 `json:"regret_percent"` // of TookMS
	StepsRegretMS int64   `json:"steps_regret_ms"`
	// Useless are peers that got nothing, or next to nothing, since that did not
	// pay.
	Useless []string `json:"useless,omitempty"`
}
