package invocation

// Watch returns how it can be asked how a process has ended.
func Watch(pid int) func() (status int, known bool) {
	p := watch(pid)
	return func() (int, bool) {
		defer p.close()
		return p.ended()
	}
}
