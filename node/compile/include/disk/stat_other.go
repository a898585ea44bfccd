//go:build !linux

package disk

import (
	"os"

	"github.com/buildnet/buildnet/node/compile/include"
)

func statOf(info os.FileInfo, err error) (include.Kind, include.Stamp) {
	if err != nil {
		return include.None, include.Stamp{}
	}
	return kindOf(info.Mode()), include.Stamp{Size: info.Size(), MTime: info.ModTime().UnixNano()}
}

func lstat(p string) (include.Kind, include.Stamp) { return statOf(os.Lstat(p)) }
func stat(p string) (include.Kind, include.Stamp)  { return statOf(os.Stat(p)) }
