package scenario

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/buildnet/buildnet/node/config/strict"
)

// duration is written as Go does: 250us, 20ms, 1m30s.
type duration time.Duration

// maxDuration bounds what a file may ask for.
const maxDuration = 24 * time.Hour

func (d *duration) Set(word string) error {
	seconds, err := parseDuration(word)
	*d = duration(seconds * float64(time.Second))
	return err
}

func (*duration) Advice() string { return "write a duration: 250us, 20ms, 1m30s" }

const oneDuration = `(0|([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+)`

func (d *duration) Schema() strict.Schema {
	return strict.Schema{"type": []string{"string", "integer"}, "pattern": "^" + oneDuration + "$", "minimum": 0, "maximum": 0}
}

// parseDuration returns seconds.
func parseDuration(word string) (float64, error) {
	d, err := time.ParseDuration(word)
	switch {
	case err != nil || d < 0 || strings.HasPrefix(word, "-") || strings.HasPrefix(word, "+"):
		return 0, fmt.Errorf("%q is no duration", word)
	case d > maxDuration:
		return 0, fmt.Errorf("%s is above the limit of %s", word, maxDuration)
	}
	return d.Seconds(), nil
}

// rate is bytes a second, written as 100Mbit, 1Gbit or 12MB.
type rate float64

// maxRate is above every link that there is.
const maxRate = 1e15

var (
	ratePattern  = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?) ?([kMGT])(bit|B)$`)
	ratePrefixes = map[string]float64{"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
)

func (r *rate) Set(word string) error {
	m := ratePattern.FindStringSubmatch(word)
	if m == nil {
		return fmt.Errorf("%q is no bandwidth", word)
	}
	n, err := strconv.ParseFloat(m[1], 64)
	if m[3] == "bit" {
		n /= 8
	}
	n *= ratePrefixes[m[2]]
	if err != nil || n < 1 || n > maxRate {
		return fmt.Errorf("%q is not between 1 and %g bytes a second", word, maxRate)
	}
	*r = rate(n)
	return nil
}

func (*rate) Advice() string { return "write bits or bytes a second: 100Mbit, 1Gbit, 12MB" }

func (*rate) Schema() strict.Schema {
	return strict.Schema{"type": "string", "pattern": ratePattern.String()}
}

// span is a range of which every use draws its own: 0.5..2. One number stands
// for itself.
type span struct{ least, most float64 }

// draw is even in the logarithm, because what costs and sizes differ by is a
// factor; from 0 it is even in itself.
func (s span) draw(rng *rand.Rand) float64 {
	x := rng.Float64()
	if s.least == s.most {
		return s.least // and not nearly
	}
	if s.least == 0 {
		return s.most * x
	}
	return s.least * math.Pow(s.most/s.least, x)
}

func (s *span) parse(word string, one func(string) (float64, error)) error {
	low, high, ranged := strings.Cut(word, "..")
	least, err := one(strings.TrimSpace(low))
	if err != nil {
		return err
	}
	most := least
	if ranged {
		if most, err = one(strings.TrimSpace(high)); err != nil {
			return err
		}
	}
	if most < least {
		return fmt.Errorf("the range %q ends below its begin", word)
	}
	s.least, s.most = least, most
	return nil
}

func (s span) Bounds() (least, most float64) { return s.least, s.most }

// rangePattern is one of what the pattern says, or two.
func rangePattern(one string) string { return "^" + one + `( ?\.\. ?` + one + ")?$" }

const oneNumber = `[0-9]+(\.[0-9]+)?`

// numbers is a span of plain numbers.
type numbers struct{ span }

func (n *numbers) Set(word string) error {
	return n.parse(word, func(w string) (float64, error) {
		x, err := strconv.ParseFloat(w, 64)
		if err != nil || !(x >= 0) || math.IsInf(x, 0) {
			return 0, fmt.Errorf("%q is no number of 0 or more", w)
		}
		return x, nil
	})
}

func (*numbers) Advice() string { return "write a number, or a range: 1.5, 0.5..2" }

func (*numbers) Schema() strict.Schema {
	return strict.Schema{"type": []string{"number", "string"}, "pattern": rangePattern(oneNumber), "minimum": 0}
}

// counts is a span of whole numbers.
type counts struct{ span }

func (c *counts) Set(word string) error {
	return c.parse(word, func(w string) (float64, error) {
		n, err := strconv.ParseUint(w, 10, 31)
		if err != nil {
			return 0, fmt.Errorf("%q is no whole number of 0 or more", w)
		}
		return float64(n), nil
	})
}

func (*counts) Advice() string { return "write a whole number, or a range: 200, 150..250" }

func (*counts) Schema() strict.Schema {
	return strict.Schema{"type": []string{"integer", "string"}, "pattern": rangePattern(`[0-9]+`), "minimum": 0}
}

func (c counts) draw(rng *rand.Rand) int { return int(math.Round(c.span.draw(rng))) }

// times is a span of durations, in seconds.
type times struct{ span }

func (t *times) Set(word string) error { return t.parse(word, parseDuration) }

func (*times) Advice() string { return "write a duration, or a range: 30s, 10s..1m30s" }

func (*times) Schema() strict.Schema {
	return strict.Schema{"type": []string{"string", "integer"}, "pattern": rangePattern(oneDuration), "minimum": 0, "maximum": 0}
}

// draw is even: when something happens has no scale.
func (t times) draw(rng *rand.Rand) time.Duration {
	return time.Duration((t.least + (t.most-t.least)*rng.Float64()) * float64(time.Second))
}

// sizes is a span of bytes.
type sizes struct{ span }

// maxBytes is the largest blob.
const maxBytes = 1 << 40

func (s *sizes) Set(word string) error {
	return s.parse(word, func(w string) (float64, error) {
		n, err := humanize.ParseBytes(w)
		switch {
		case err != nil || strings.HasPrefix(w, "-") || strings.Trim(w, "0123456789.") == "" && strings.Contains(w, "."):
			return 0, fmt.Errorf("%q is no size", w)
		case n > maxBytes:
			return 0, errors.New(w + " is above the limit of 1TiB")
		}
		return float64(n), nil
	})
}

func (*sizes) Advice() string { return "write a size, or a range: 64KiB, 10KiB..2MB" }

func (*sizes) Schema() strict.Schema {
	return strict.Schema{"type": []string{"integer", "string"}, "pattern": rangePattern(oneNumber + ` ?([kKMGT]i?)?B?`), "minimum": 0, "maximum": maxBytes}
}

func (s sizes) draw(rng *rand.Rand) int64 { return int64(s.span.draw(rng)) }
