//go:build !linux

package doze

// slacken does nothing: this system has no such thing for a process.
func slacken() error { return nil }
