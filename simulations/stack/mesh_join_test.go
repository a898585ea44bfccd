package stack

import (
	"testing"
	"time"
)

func TestMeshOfTwoTalks(t *testing.T) {
	inMeshes(t, lan(2), func(t *testing.T, w *meshes) {
		a := w.start(0).up()
		b := w.start(1, 0).up()
		w.within(time.Second, "meeting", w.whole)
		for _, err := range []error{a.hears(b), b.hears(a)} {
			if err != nil {
				t.Error(err)
			}
		}
	})
}
