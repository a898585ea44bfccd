package remote

import (
	"bytes"
	"encoding/binary"
	"testing"
)

func TestNamesInALocaleArchive(t *testing.T) {
	names := []byte("de_DE.utf8\x00en_US.utf8\x00")
	var b []byte
	for _, n := range []uint32{0xde020109, 1, 0, 0, 0, 40, uint32(len(names)), 4096, 0, 0} {
		b = binary.NativeEndian.AppendUint32(b, n)
	}
	if got := namesIn(bytes.NewReader(append(b, names...))); !bytes.Equal(got, names) {
		t.Errorf("%q", got)
	}
	for _, broken := range [][]byte{nil, b[:20], b} {
		if got := namesIn(bytes.NewReader(broken)); got != nil {
			t.Errorf("%q of an archive that ends early", got)
		}
	}
	if installed("xx_YY.utf8") {
		t.Error("a locale that nobody has is there")
	}
}
