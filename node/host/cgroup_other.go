//go:build !linux

package host

func quota(string) (float64, bool) { return 0, false }

func memoryLimit(string) (int64, bool) { return 0, false }
