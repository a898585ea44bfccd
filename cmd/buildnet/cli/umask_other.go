//go:build !unix

package cli

import "io/fs"

// umask is nothing that there is.
func umask() *fs.FileMode { return nil }
