package pace

import (
	"testing"
	"testing/synctest"
	"time"
)

// waits is what n turns in a row wait.
func waits(t *testing.T, p *Pace, n int) []time.Duration {
	t.Helper()
	took := make([]time.Duration, n)
	for i := range took {
		begun := time.Now()
		if !p.Wait(nil) {
			t.Fatal("nobody stopped it")
		}
		took[i] = time.Since(begun)
	}
	return took
}

func expect(t *testing.T, what string, got []time.Duration, want ...time.Duration) {
	t.Helper()
	for i := range want {
		if got[i] != want[i]*time.Millisecond {
			t.Errorf("%s: they waited %v, not %v ms", what, got, want)
			return
		}
	}
}

func TestOnlyWhatFollowsCloselyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &Pace{Every: 5 * time.Millisecond}
		expect(t, "the first", waits(t, p, 1), 0)
		time.Sleep(2 * time.Millisecond)
		expect(t, "2 ms later", waits(t, p, 2), 3, 5)
		time.Sleep(5 * time.Millisecond)
		expect(t, "after a rest", waits(t, p, 2), 0, 5)
	})
}

func TestSomeMayComeAtOnceAfterARest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &Pace{Every: 2 * time.Millisecond, Burst: 2}
		expect(t, "at first", waits(t, p, 5), 0, 0, 0, 2, 2)
		time.Sleep(2 * time.Millisecond)
		expect(t, "after a short rest", waits(t, p, 2), 0, 2)
		time.Sleep(time.Hour)
		expect(t, "after a long one", waits(t, p, 4), 0, 0, 0, 2)
	})
}

func TestAWaitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &Pace{Every: time.Hour}
		p.Begin(time.Now())
		stop := make(chan struct{})
		time.AfterFunc(time.Second, func() { close(stop) })
		if p.Wait(stop) {
			t.Fatal("it waited for an hour")
		}
	})
}

func TestTheZeroPaceLetsNobodyWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		expect(t, "without a pace", waits(t, &Pace{}, 3), 0, 0, 0)
	})
}
