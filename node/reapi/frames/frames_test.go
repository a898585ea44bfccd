package frames_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"golang.org/x/net/http2"
	"pgregory.net/rapid"

	"github.com/buildnet/buildnet/node/reapi/frames"
)

// seen is what a Follower saw of a connection: for each frame its header and what of
// it came, and the messages of stream 1.
type seen struct {
	headers  []frames.Frame
	payloads [][]byte
	messages []int64
}

func follow(pieces [][]byte, skip int) (s seen) {
	f := frames.Follower{Skip: skip}
	var m frames.Messages
	for _, rest := range pieces {
		for {
			segment := f.Segment()
			e, more, ok := f.Next(rest)
			if taken := len(rest) - len(more); taken > segment && skip == 0 {
				panic(fmt.Sprintf("%d bytes taken of a segment of %d", taken, segment))
			}
			if rest = more; !ok {
				break
			}
			if e.Begins {
				s.headers, s.payloads = append(s.headers, e.Frame), append(s.payloads, nil)
				if e.Frame.Stream == 1 && e.Frame.Type == frames.Data {
					m.Begin(e.Frame)
				}
				continue
			}
			last := len(s.payloads) - 1
			s.payloads[last] = append(s.payloads[last], e.Payload...)
			if e.Frame.Stream == 1 && e.Frame.Type == frames.Data {
				m.Data(e.Payload, func(n int64) { s.messages = append(s.messages, n) })
			}
		}
	}
	return s
}

// cut makes pieces of b.
func cut(t *rapid.T, b []byte) (pieces [][]byte) {
	for len(b) > 0 {
		n := rapid.IntRange(1, len(b)).Draw(t, "piece")
		pieces, b = append(pieces, b[:n]), b[n:]
	}
	return pieces
}

func prefixed(message []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
}

// What golang.org/x/net/http2 writes is read, however it is cut.
func TestFramesAreFollowedHoweverTheyAreCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var sent bytes.Buffer
		sent.WriteString(http2.ClientPreface)
		w := http2.NewFramer(&sent, nil)
		var want []int64
		var stream []byte
		for range rapid.IntRange(0, 5).Draw(t, "messages") {
			m := make([]byte, rapid.IntRange(0, 50).Draw(t, "length"))
			want = append(want, int64(len(m)))
			stream = append(stream, prefixed(m)...)
		}
		frame := 0
		for _, data := range cut(t, stream) {
			frame++
			pad := make([]byte, rapid.IntRange(0, 9).Draw(t, "pad"))
			if err := w.WriteDataPadded(1, frame%3 == 0, data, pad); err != nil {
				t.Fatal(err)
			}
			if err := w.WriteWindowUpdate(3, 7); err != nil {
				t.Fatal(err)
			}
			if err := w.WriteRSTStream(5, http2.ErrCodeCancel); err != nil {
				t.Fatal(err)
			}
		}
		got := follow(cut(t, sent.Bytes()), len(http2.ClientPreface))
		if !slices.Equal(got.messages, want) {
			t.Errorf("messages of %v bytes, want %v", got.messages, want)
		}
		if len(got.headers) != 3*frame {
			t.Fatalf("%d frames, want %d", len(got.headers), 3*frame)
		}
		for i, h := range got.headers {
			if len(got.payloads[i]) != h.Length {
				t.Errorf("frame %d: %d bytes of %d", i, len(got.payloads[i]), h.Length)
			}
			data := i%3 == 0
			if data != (h.Type == frames.Data) || (i%3 == 2) != (h.Type == frames.RSTStream) || h.End != (data && (i/3+1)%3 == 0) {
				t.Errorf("frame %d is %+v", i, h)
			}
		}
	})
}

func FuzzFollower(f *testing.F) {
	f.Add([]byte("\x00\x00\x08\x00\x09\x00\x00\x00\x01\x02\x00\x00\x00\x00\x00\x00\x00"), 3)
	f.Fuzz(func(t *testing.T, b []byte, at int) {
		at = min(max(at, 0), len(b))
		whole, parts := follow([][]byte{b}, 0), follow([][]byte{b[:at], b[at:]}, 0)
		if !slices.Equal(whole.headers, parts.headers) || !slices.Equal(whole.messages, parts.messages) || !slices.EqualFunc(whole.payloads, parts.payloads, bytes.Equal) {
			t.Errorf("%+v is, cut, %+v", whole, parts)
		}
		for i, p := range whole.payloads {
			if len(p) > whole.headers[i].Length {
				t.Errorf("%d bytes of a frame of %d", len(p), whole.headers[i].Length)
			}
		}
	})
}
