package toolchain

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/buildnet/buildnet/store/memory"
)

// natives are specs by what they are but for the processor.
var natives = map[Spec]Spec{
	{Spec: "cc:cc"}:    {Spec: "cc+native:cc"},
	{Spec: "link:cc"}:  {Spec: "link+native:cc"},
	{Spec: "tools:as"}: {Spec: "tools+native:as"},
	{Spec: "host"}:     {Spec: "host+native"},
}

func TestANativeDigestIsOfTheProcessorAndOfAllElse(t *testing.T) {
	b := newBench(t)
	for plain, native := range natives {
		before := b.digest(plain)
		d := b.digest(native)
		if d == before || d != onProcessor(before, processor()) {
			t.Errorf("%v is %s, and %v %s", native, d, plain, before)
		}
		if other := onProcessor(before, processor()+" v2"); other == d || len(other) != len(d) {
			t.Errorf("%v is %s on another processor, and %s here", native, other, d)
		}
	}
	changed := b.digest(Spec{Spec: "host+native"})
	b.write("bin/as", "assembler2", 0o755)
	if b.digest(Spec{Spec: "host+native"}) == changed {
		t.Error("a program changed and the digest did not")
	}
}

func TestWhatIsOfTheProcessorTooIsGatheredOnce(t *testing.T) {
	for plain, native := range natives {
		for _, order := range [][]Spec{{plain, native}, {native, plain}} {
			t.Run(order[0].Spec, func(t *testing.T) {
				b := newBench(t)
				var log bytes.Buffer
				b.opts.Log = slog.New(slog.NewTextHandler(&log, nil))
				first, second := b.digest(order[0]), b.digest(order[1])
				if n := strings.Count(log.String(), "toolchain looked at"); n != 1 || len(b.entries) != 1 {
					t.Errorf("it was looked at %d times and is known %d times, want once:\n%s", n, len(b.entries), log.String())
				}
				later := b.again(b.opts.KV.(*memory.KV))
				if !later.Fresh(order[1], second) || !later.Fresh(order[0], first) {
					t.Error("not known after a restart")
				}
			})
		}
	}
}

func TestANativeSpecIsFreshAsLongAsItsFilesAre(t *testing.T) {
	plain, native := Spec{Spec: "cc:cc"}, Spec{Spec: "cc+native:cc"}
	ways := map[string]func(p *Prober, s Spec, d string) bool{
		"Fresh": (*Prober).Fresh,
		"Lately": func(p *Prober, s Spec, d string) bool {
			now, err := p.Lately(t.Context(), s, d)
			return err == nil && now == d
		},
		"Current": func(p *Prober, s Spec, d string) bool {
			now, err := p.Current(t.Context(), s, d)
			return err == nil && now == d
		},
	}
	for name, holds := range ways {
		for _, watched := range []bool{false, true} {
			b := newBench(t)
			d, dn := b.digest(plain), b.digest(native)
			if watched {
				b.turned() // what Run does when it begins, and when it has watched all
				b.entries[plain].turn = b.turn
			}
			if !holds(b.Prober, native, dn) || !holds(b.Prober, plain, d) {
				t.Errorf("%s: what has not changed does not hold", name)
			}
			if holds(b.Prober, native, d) || holds(b.Prober, plain, dn) {
				t.Errorf("%s: one digest is taken for the other", name)
			}
			b.entries[plain].looked = time.Time{} // as if time had passed
			b.write("libexec/cc1", "other", 0o755)
			if holds(b.Prober, native, dn) || holds(b.Prober, plain, d) {
				t.Errorf("%s: what has changed holds", name)
			}
		}
	}
}

func TestLatelyGoesByTheSameLookForBoth(t *testing.T) {
	b := newBench(t)
	plain, native := Spec{Spec: "cc:cc"}, Spec{Spec: "cc+native:cc"}
	d, dn := b.digest(plain), b.digest(native)
	b.turned()
	b.entries[plain].turn, b.entries[plain].looked = b.turn, time.Now().Add(time.Hour)
	b.write("libexec/cc1", "other", 0o755) // which the watch has not seen yet
	for s, want := range map[Spec]string{plain: d, native: dn} {
		if now, err := b.Lately(t.Context(), s, want); err != nil || now != want {
			t.Errorf("%v is %s, %v: it looked", s, now, err)
		}
	}
}

func TestWhoWaitsForTheLookOfAnotherSpecIsToldOfHisOwn(t *testing.T) {
	b := newBench(t)
	plain, native := Spec{Spec: "tools:no-such-tool"}, Spec{Spec: "tools+native:no-such-tool"}
	run, _ := b.join(plain)
	told := make(chan error, 1)
	go func() {
		_, err := b.Digest(context.Background(), native)
		told <- err
	}()
	b.finish(t.Context(), plain, run)
	if err := <-told; err == nil || !strings.Contains(err.Error(), native.Spec) {
		t.Errorf("told %v", err)
	}
}
