package exec_test

import (
	"context"
	"strings"
	"sync"
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

// A child that is forked while a program is written has it open for writing, and
// nobody can run it before that child executes something. Forks wait for no
// write all the same: a program may be large.
func TestAProgramRunsThoughOthersForkWhileItIsWritten(t *testing.T) {
	program := "#!/bin/sh\necho made > out\nexit\n" + strings.Repeat("#", 1<<20)
	w := watched{d: digest.Of(digest.BLAKE3, []byte(program))}
	fork := make(chan struct{})
	w.onRead = func() { fork <- struct{}{} }
	r := newRig(t, func(o *exec.Options) {
		w.Blobs = o.Blobs
		o.Blobs = w
	})
	other := exec.Request{Action: r.action(sh("true")), Name: "other"}
	var forks sync.WaitGroup
	for range 4 {
		forks.Go(func() {
			for range fork {
				if _, err := r.Execute(t.Context(), other, func() {}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 5 {
		a := work{argv: []string{"./program"}, outputs: []string{"out"}, inputs: map[string]string{"program": program}}
		res, err := r.Execute(t.Context(), exec.Request{Action: r.action(a), Name: "program"}, func() {})
		if err != nil || !res.OK() {
			t.Errorf("%+v, %v", res, err)
		}
	}
	close(fork)
	forks.Wait()
}
