package toolchain

import (
	"context"
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/buildnet/buildnet/store/memory"
)

func TestADriverIsAskedEachQuestionOnce(t *testing.T) {
	for _, spec := range []string{"link:gcc", "host"} {
		t.Run(spec, func(t *testing.T) { askedOnce(t, spec) })
	}
}

func askedOnce(t *testing.T, spec string) {
	t.Helper()
	b := newBench(t)
	b.write("asked", "", 0o666)
	b.write("bin/gcc", "#!/bin/sh\necho \"$*\" >>"+b.path("asked")+"\nexec "+b.path("bin/cc")+" \"$@\"\n", 0o755)
	<-time.After(racy)
	b.digest(Spec{Spec: spec})
	text, err := os.ReadFile(b.path("asked"))
	if err != nil {
		t.Fatal(err)
	}
	asked := strings.Split(strings.TrimSpace(string(text)), "\n")
	slices.Sort(asked)
	if once := slices.Compact(slices.Clone(asked)); len(asked) < 5 || len(once) < len(asked) {
		t.Errorf("it was asked %q", asked)
	}
}

// waiting is a driver whose first answer waits until the file other is there, and which
// makes its own; it says in the file alone that it waited in vain.
func (b *bench) waiting(name, other string) {
	b.write("bin/"+name, `#!/bin/sh
PATH=/usr/bin:/bin
if test "$1" = -dumpmachine; then
  : >`+b.path("met/"+name)+`
  for i in $(seq 150); do test -e `+b.path("met/"+other)+` && break; sleep 0.1; done
  test -e `+b.path("met/"+other)+` || : >`+b.path("met/alone")+`
fi
exec `+b.path("bin/c++")+` "$@"
`, 0o755)
}

// Others wait for its turn meanwhile.
func TestADriverThatHangsIsAskedNoMore(t *testing.T) {
	b := newBench(t)
	b.write("asked", "", 0o666)
	b.write("bin/clang", "#!/bin/sh\necho >>"+b.path("asked")+"\nexec /bin/sleep 600\n", 0o755)
	a := newAsks(b.path("bin"))
	a.limit = 500 * time.Millisecond
	a.askAhead(t.Context(), b.path("bin/clang"))
	a.ahead.Wait()
	for _, args := range ownQuestions() {
		if _, err := a.ask(t.Context(), b.path("bin/clang"), args...); err == nil {
			t.Errorf("%q is answered", args)
		}
	}
	if text, err := os.ReadFile(b.path("asked")); err != nil || len(text) > 1 {
		t.Errorf("it was asked %d times: %v", len(text), err)
	}
}

func TestDriversOfAHostAreAskedAtTheSameTime(t *testing.T) {
	if runtime.GOMAXPROCS(0) < 2 {
		t.Skip("one processor")
	}
	b := newBench(t)
	if err := os.Rename(b.path("bin/cc"), b.path("bin/c++")); err != nil {
		t.Fatal(err)
	}
	b.write("met/x", "", 0o644)
	if err := os.Chmod(b.path("met"), 0o777); err != nil { // root's questions are asked as somebody else
		t.Fatal(err)
	}
	b.waiting("gcc", "g++")
	b.waiting("g++", "gcc")
	<-time.After(racy)
	first := b.digest(Spec{Spec: "host"})
	if _, err := os.Stat(b.path("met/g++")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(b.path("met/alone")); err == nil {
		t.Error("one waited for the other in vain")
	}
	for range 3 { // in whatever order they answer
		if d, err := b.again(&memory.KV{}).Digest(t.Context(), Spec{Spec: "host"}); err != nil || d != first {
			t.Errorf("it is %s, %v, and was %s", d, err, first)
		}
	}
}

func TestALookThatIsGivenUpEndsItsQuestions(t *testing.T) {
	b := newBench(t)
	b.write("met/x", "", 0o644)
	if err := os.Chmod(b.path("met"), 0o777); err != nil {
		t.Fatal(err)
	}
	b.write("bin/gcc", "#!/bin/sh\n: >"+b.path("met/asked")+"\nexec /bin/sleep 60\n", 0o755)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := b.Digest(ctx, Spec{Spec: "host"})
		ended <- err
	}()
	eventually(t, "it is asked", func() bool {
		_, err := os.Stat(b.path("met/asked"))
		return err == nil
	})
	cancel()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(askTimeout / 2):
		t.Error("it goes on")
		<-ended
	}
}
