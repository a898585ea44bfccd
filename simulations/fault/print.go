package fault

import (
	"fmt"
	"strconv"
	"strings"
)

// String is the line that Parse reads as f.
func (f Fault) String() string {
	words := []string{f.Kind.String()}
	switch {
	case f.Kind == Heal:
	case f.Kind == Cancel:
		words = append(words, "build "+strconv.Itoa(f.Target.Build))
	case len(f.Group) > 0:
		for _, n := range f.Group {
			words = append(words, strconv.Itoa(n))
		}
	default:
		words = append(words, f.Target.String())
	}
	words = append(words, f.when())
	if f.Factor != 0 {
		words = append(words, "to "+share(f.Factor))
	}
	if f.For != 0 {
		words = append(words, "for "+f.For.String())
	}
	if f.OneWay {
		words = append(words, "one-way")
	}
	if f.Deaf {
		words = append(words, "deaf")
	}
	return strings.Join(words, " ")
}

func (f Fault) when() string {
	switch {
	case f.Share == 0:
		return "at " + f.At.String()
	case f.Build == f.Target.Build:
		return "@" + share(f.Share)
	default:
		return "@" + share(f.Share) + " of build " + strconv.Itoa(f.Build)
	}
}

// String names the target as Parse reads it.
func (t Target) String() string {
	switch {
	case t.Role == Node:
		return "node " + strconv.Itoa(t.Node)
	case t.Build != 0:
		return fmt.Sprintf("%s of build %d", t.Role, t.Build)
	default:
		return t.Role.String()
	}
}

// share is a percentage if that reads back as the same number.
func share(x float64) string {
	percent := strconv.FormatFloat(x*100, 'g', -1, 64)
	if back, err := strconv.ParseFloat(percent, 64); err == nil && back/100 == x && len(percent) < 8 {
		return percent + "%"
	}
	return strconv.FormatFloat(x, 'g', -1, 64)
}
