package intercept

// IsDriver reports whether the name is one of a compiler, for links.
func IsDriver(name string) bool { return driver.MatchString(name) }

// Without is without.
func Without(list, separators, item string) string { return without(list, separators, item) }
