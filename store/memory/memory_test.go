package memory

import (
	"testing"

	"github.com/buildnet/buildnet/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Store { return New(storetest.Room) })
}
