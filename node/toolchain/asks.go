package toolchain

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// askTimeout bounds one question to a compiler driver.
const askTimeout = 20 * time.Second

// asks are the questions to drivers, each asked once: some are of use in two places, and
// clang takes 40 ms to start.
type asks struct {
	path    string             // PATH of drivers
	limit   time.Duration      // of one question
	answers map[string]*answer // by command
	turn    chan struct{}      // holds one for each that is asked ahead now
	ahead   sync.WaitGroup     // those who ask ahead
}

type answer struct {
	known chan struct{} // closed once these are
	text  string
	err   error
}

func newAsks(path string) asks {
	return asks{path: path, limit: askTimeout, answers: map[string]*answer{}, turn: make(chan struct{}, runtime.GOMAXPROCS(0))}
}

// ask runs a compiler driver as an action would see it, once for each question, and
// returns all that it prints.
func (a *asks) ask(ctx context.Context, driver string, args ...string) (string, error) {
	said, first := a.answer(driver, args)
	if first {
		a.run(ctx, said, driver, args)
	}
	<-said.known
	return said.text, said.err
}

// question is one that is to be asked.
type question struct {
	args []string
	said *answer
}

// askAhead has what a driver can say by itself be asked while other things are looked at,
// until ctx ends. Its program has to be looked at before, so that no answer is that of
// another. One that does not answer in time is asked no more, and others wait no longer for
// its turn.
func (a *asks) askAhead(ctx context.Context, driver string) {
	var questions []question
	for _, args := range ownQuestions() {
		if said, first := a.answer(driver, args); first {
			questions = append(questions, question{args, said})
		}
	}
	a.ahead.Go(func() {
		var hangs error
		for _, q := range questions {
			if hangs != nil {
				q.said.is("", hangs)
				continue
			}
			a.turn <- struct{}{}
			if a.run(ctx, q.said, driver, q.args) {
				hangs = q.said.err
			}
			<-a.turn
		}
	})
}

// ownQuestions are those about which a driver runs no other program, in the order in which
// compiler and linker ask them.
func ownQuestions() [][]string {
	all := [][]string{{"-dumpmachine"}, {"-dumpspecs"}, {"-print-file-name=specs"}}
	for _, n := range compilePrograms {
		all = append(all, []string{"-print-prog-name=" + n})
	}
	all = append(all, []string{"-print-resource-dir"})
	for _, n := range linkPrograms {
		all = append(all, []string{"-print-prog-name=" + n})
	}
	return append(all, []string{"-print-file-name=liblto_plugin.so"}, []string{"-print-search-dirs"})
}

// answer returns that to a question, and whether the caller has to ask it.
func (a *asks) answer(driver string, args []string) (said *answer, first bool) {
	command := strings.Join(slices.Concat([]string{driver}, args), "\x00")
	if said, ok := a.answers[command]; ok {
		return said, false
	}
	said = &answer{known: make(chan struct{})}
	a.answers[command] = said
	return said, true
}

// is makes an answer known.
func (a *answer) is(text string, err error) {
	a.text, a.err = text, err
	close(a.known)
}

// run asks, and reports whether the driver did not answer in time.
func (a *asks) run(ctx context.Context, said *answer, driver string, args []string) (hangs bool) {
	ctx, cancel := context.WithTimeout(ctx, a.limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, driver, args...)
	cmd.Env = []string{"PATH=" + a.path, "LC_ALL=C", "LANG=C", "TZ=UTC", "HOME=/"}
	cmd.Dir = "/"
	cmd.WaitDelay = time.Second
	unprivileged(cmd)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		hangs = errors.Is(ctx.Err(), context.DeadlineExceeded)
		said.is("", fmt.Errorf("ask %s %s: %w", driver, strings.Join(args, " "), err))
		return hangs
	}
	said.is(out.String(), nil)
	return false
}
