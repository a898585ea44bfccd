//go:build !linux

package invocation

// otherFiles has nothing to know on other systems.
func otherFiles(int) string { return "" }
