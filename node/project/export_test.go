package project

// Limit makes the plans of c small ones.
func (c *Config) Limit(steps, deps, sources int) {
	c.limits = limits{steps: steps, deps: deps, sources: sources}
}
