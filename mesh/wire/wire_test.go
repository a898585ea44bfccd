package wire

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"pgregory.net/rapid"
)

func TestFramesComeBackInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOf(rapid.SliceOfN(rapid.Byte(), 0, 300)).Draw(t, "frames")
		var b bytes.Buffer
		for _, x := range want {
			if err := Write(&b, wrapperspb.Bytes(x)); err != nil {
				t.Fatal(err)
			}
		}
		r := bufio.NewReader(iotest.OneByteReader(&b))
		for _, x := range want {
			var got wrapperspb.BytesValue
			if err := Read(r, &got, MaxFrame); err != nil || !bytes.Equal(got.Value, x) {
				t.Fatalf("%x, %v; want %x", got.Value, err, x)
			}
		}
		if err := Read(r, new(wrapperspb.BytesValue), MaxFrame); err != io.EOF {
			t.Fatalf("after the last: %v", err)
		}
	})
}

func TestBadFrames(t *testing.T) {
	for name, c := range map[string]struct {
		in   []byte
		want error
	}{
		"cut in the length": {[]byte{0x80}, io.ErrUnexpectedEOF},
		"cut in the body":   {[]byte{5, 1, 2}, io.ErrUnexpectedEOF},
		"body missing":      {[]byte{5}, io.ErrUnexpectedEOF},
		"length over limit": {binary.AppendUvarint(nil, 101), ErrFrameTooLong},
		"length over int64": {binary.AppendUvarint(nil, 1<<63), ErrFrameTooLong},
		"endless length":    {bytes.Repeat([]byte{0xff}, 20), nil},
		"no protobuf":       {[]byte{2, 0xff, 0xff}, nil},
	} {
		err := Read(bufio.NewReader(bytes.NewReader(c.in)), new(wrapperspb.BytesValue), 100)
		if name == "body missing" && errors.Is(err, io.EOF) && err != io.EOF {
			continue // wrapped: no clean end
		}
		if err == nil || err == io.EOF || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestWriteNamesWhatItWrites(t *testing.T) {
	broken := errors.New("broken")
	err := Write(failing{broken}, wrapperspb.String("x"))
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "StringValue") {
		t.Errorf("Write: %v", err)
	}
	if err := Write(io.Discard, wrapperspb.String("\xff")); err == nil {
		t.Error("invalid UTF-8 was written")
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func FuzzRead(f *testing.F) {
	var b bytes.Buffer
	if err := Write(&b, wrapperspb.Bytes([]byte("hello"))); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bufio.NewReader(bytes.NewReader(b))
		for {
			var m wrapperspb.BytesValue
			if Read(r, &m, 1000) != nil {
				return
			}
			if proto.Size(&m) > 1000 {
				t.Errorf("%d bytes were read", proto.Size(&m))
			}
		}
	})
}
