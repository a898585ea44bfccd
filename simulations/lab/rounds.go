//go:build lab && linux

package lab

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// fewRounds is how often what is drawn is repeated where nobody asks for more.
const fewRounds = 3

// roundsOf is how often a test repeats what it draws: LAB_ROUNDS, or fewRounds.
func roundsOf(t *testing.T) int {
	t.Helper()
	return int(number(t, "LAB_ROUNDS", fewRounds))
}

// drawn is a source of moments and victims, whose seed is in the test's log:
// LAB_SEED, or another one each time. The same seed draws the same again;
// processes interleave as they please.
func drawn(t *testing.T) *rand.Rand {
	t.Helper()
	seed := number(t, "LAB_SEED", uint64(time.Now().UnixNano()))
	t.Logf("LAB_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// number is a positive number of the environment.
func number(t *testing.T, name string, without uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return without
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil || n == 0 {
		t.Fatalf("%s=%q is no positive number", name, text)
	}
	return n
}

// between draws a moment.
func between(r *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(r.Int64N(int64(most-least)))
}
