package exec

// Renew removes what is kept for other actions. None runs.
func (e *Executor) Renew() error {
	defer func() { e.scratch.closed = false }()
	return e.scratch.close()
}
