//go:build !linux

package disk

import (
	"os"

	"github.com/buildnet/buildnet/node/compile/include"
)

func stampOf(info os.FileInfo) include.Stamp {
	return include.Stamp{Size: info.Size(), MTime: info.ModTime().UnixNano()}
}
