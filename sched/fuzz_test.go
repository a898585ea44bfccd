package sched

import (
	"reflect"
	"testing"

	"github.com/buildnet/buildnet/sched/steal"
)

// FuzzOps: what is read of a log can be written, and reads back the same.
func FuzzOps(f *testing.F) {
	f.Add([]byte{})
	for _, msg := range messages(f) {
		a, ok := msg.(steal.Append)
		if !ok {
			continue
		}
		b, err := EncodeOps(a.Ops)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		ops, err := DecodeOps(b)
		if err != nil {
			return
		}
		if len(ops) > MaxOps {
			t.Fatalf("%d ops, the limit is %d", len(ops), MaxOps)
		}
		again, err := EncodeOps(ops)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		got, err := DecodeOps(again)
		if err != nil || !reflect.DeepEqual(got, ops) {
			t.Fatalf("%+v reads back as %+v, %v", ops, got, err)
		}
	})
}
