package hearsay

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/buildnet/buildnet/node/hearsay/hearsaypb"
	"github.com/buildnet/buildnet/store/costs"
)

func framed(body []byte) *bufio.Reader {
	return bufio.NewReader(bytes.NewReader(append(binary.AppendUvarint(nil, uint64(len(body))), body...)))
}

func TestWhatIsToldIsCountedBeforeItIsMade(t *testing.T) {
	q := question(make([]costs.Kind, 10))
	empty := []byte{knownOfAnswer<<3 | 2, 0} // an empty Known
	var a hearsaypb.Answer
	if err := read(framed(bytes.Repeat(empty, 10)), &a, boundOfAnswer(q)); err != nil || len(a.GetKnown()) != 10 {
		t.Errorf("ten kinds of ten that were asked for: %d, %v", len(a.GetKnown()), err)
	}
	a.Reset()
	if err := read(framed(bytes.Repeat(empty, 11)), &a, boundOfAnswer(q)); !errors.Is(err, errMalformed) || len(a.GetKnown()) != 0 {
		t.Errorf("eleven of ten: %d were made, %v", len(a.GetKnown()), err)
	}
	if err := read(framed(make([]byte, 10*knownBytes+frameBytes+1)), &a, boundOfAnswer(q)); !errors.Is(err, errMalformed) {
		t.Errorf("an answer that is longer than ten kinds can be: %v", err)
	}
	var told hearsaypb.Question
	if err := read(framed(bytes.Repeat([]byte{knownOfQuestion<<3 | 2, 0}, maxKinds+1)), &told, boundOfQuestion()); !errors.Is(err, errMalformed) {
		t.Errorf("a question that tells of more kinds than one may: %v", err)
	}
	if err := read(framed([]byte{0xff}), &a, boundOfAnswer(q)); !errors.Is(err, errMalformed) {
		t.Errorf("what is no message: %v", err)
	}
}
