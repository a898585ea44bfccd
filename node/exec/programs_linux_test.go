package exec_test

import (
	"context"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/buildnet/buildnet/node/exec"
	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

// watched sees the reads of one blob.
type watched struct {
	store.Blobs
	d      digest.Digest
	onRead func()
}

func (w watched) Open(ctx context.Context, d digest.Digest) (store.Reader, error) {
	r, err := w.Blobs.Open(ctx, d)
	if err != nil || d != w.d {
		return r, err
	}
	return seen{r, w.onRead}, nil
}

type seen struct {
	store.Reader
	onRead func()
}

func (s seen) Read(b []byte) (int, error) {
	s.onRead()
	return s.Reader.Read(b)
}

// Whoever forks while a program is open for writing keeps it from being run.
func TestNobodyForksWhileAProgramIsWritten(t *testing.T) {
	const program = "#!/bin/sh\necho made > out\n"
	w := watched{d: digest.Of(digest.BLAKE3, []byte(program))}
	var reads, free atomic.Int32
	w.onRead = func() {
		reads.Add(1)
		if syscall.ForkLock.TryLock() {
			syscall.ForkLock.Unlock()
			free.Add(1)
		}
	}
	r := newRig(t, func(o *exec.Options) {
		w.Blobs = o.Blobs
		o.Blobs = w
	})
	a := work{argv: []string{"./program"}, outputs: []string{"out"}, inputs: map[string]string{"program": program}}
	res, err := r.Execute(t.Context(), exec.Request{Action: r.action(a), Name: "program"}, func() {})
	if err != nil || !res.OK() {
		t.Fatalf("%+v, %v", res, err)
	}
	if reads.Load() == 0 || free.Load() > 0 {
		t.Errorf("%d reads of the program, a fork could have come in at %d of them", reads.Load(), free.Load())
	}
}
