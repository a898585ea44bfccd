package event

// Policy is how a build used the mesh: its profile, with what flags have changed
// of it. The fields have the names of a profile's keys.
type Policy struct {
	Profile string `json:"profile"`
	// From is who chose it: flag, project, node, mesh, or standard for nobody.
	From         string   `json:"from"`
	Distribution string   `json:"distribution"`
	Weights      *Weights `json:"weights,omitempty"` // absent: the standard ones
	Partition    string   `json:"partition"`
	CPU          string   `json:"cpu_strategy"`
	Storage      string   `json:"storage_preference"`
	Network      string   `json:"network_preference"`
	Cache        string   `json:"cache_policy"`
	// Changes are those of them that are not standard, as "key: value".
	Changes []string `json:"changes,omitempty"`
}

// Weights are those of the score.
type Weights struct {
	Performance  float64 `json:"performance"`
	Locality     float64 `json:"locality"`
	Latency      float64 `json:"latency"`
	Availability float64 `json:"availability"`
}
