package intercept

// IsTool reports whether a name is one of a compiler or archiver.
func IsTool(name string) bool { return tool.MatchString(name) }

// Without is without.
func Without(list, separators, item string) string { return without(list, separators, item) }
