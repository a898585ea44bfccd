//go:build !linux

package host

func quota(string) (float64, bool) { return 0, false }
