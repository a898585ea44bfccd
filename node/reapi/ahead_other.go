//go:build !unix

package reapi

import (
	"bufio"
	"io"
	"net"
)

// readAhead returns how a connection is read.
func readAhead(on net.Conn) io.Reader { return bufio.NewReaderSize(on, readBytes) }
