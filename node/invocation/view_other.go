//go:build !linux

package invocation

// sameFiles reports what is the rule on other systems.
func sameFiles(int) bool { return true }
