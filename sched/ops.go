package sched

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/sched/schedpb"
	"github.com/buildnet/buildnet/sched/steal"
)

// Logger may be an Observer that keeps the log of its build, so that it can be
// gone on with when every node is lost: see Build.Log.
type Logger interface {
	// Logged tells of ops that are new in the log. If anew, they begin one that
	// takes the place of what was told before, as soon as an OpStandbys is in it.
	// It must not wait.
	Logged(ops []steal.Op, anew bool)
}

// EncodeOps writes ops of a log, no more than MaxOps.
func EncodeOps(ops []steal.Op) ([]byte, error) {
	var m schedpb.Envelope
	if err := encodeAppend(&m, steal.Append{First: 1, Ops: ops}, nil); err != nil {
		return nil, err
	}
	return proto.Marshal(m.GetAppend())
}

// MaxOps is how many ops are written at once.
const MaxOps = maxOps

// DecodeOps reads what EncodeOps wrote, and checks what is signed in it.
func DecodeOps(b []byte) ([]steal.Op, error) {
	var m schedpb.Append
	if err := proto.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("decode log: %w: %w", errMalformed, err)
	}
	msg, err := newDecoder().appendOf(&m)
	if err != nil {
		return nil, fmt.Errorf("decode log: %w", err)
	}
	if err := verify(msg, ""); err != nil {
		return nil, fmt.Errorf("decode log: %w", err)
	}
	a, _ := msg.(steal.Append)
	return a.Ops, nil
}
