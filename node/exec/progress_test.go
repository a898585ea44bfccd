package exec

import (
	"bytes"
	"io"
	"slices"
	"testing"
)

func TestProgressIsWhatALineBeginsWith(t *testing.T) {
	for line, want := range map[string]int{
		"[12/345] CXX a.o": 3, "[1/1]": 100, "[0/9] link": 0, "[ 42%] Building": 42, "  7% done": 7, "42%": 42, "99.9% of it": 99,
		"[ 3 / 4 ] x": 75, "": -1, "[12/345": -1, "[x/3]": -1, "[4/3]": -1, "[1/0]": -1, "101%": -1, "-1%": -1, "12/31 it was": -1,
		"[42% x]": -1, "about 42%": -1, "%": -1, "[]": -1, "[9999999999/99999999999]": -1, "4.x%": -1, "[-1/2]": -1,
	} {
		got, ok := progressOf(line)
		if !ok {
			got = -1
		}
		if got != want {
			t.Errorf("%q says %d, want %d", line, got, want)
		}
	}
}

func TestProgressComesHoweverTheOutputIsCut(t *testing.T) {
	text := []byte("hello\n[1/4] a\n[2/4] a longer line than any mark, with 99% in it\nsee [3/4]\n\r60%\r70% \r\n[4/4]")
	want := []int{25, 50, 60, 70}
	for size := 1; size <= len(text); size++ {
		var got []int
		var passed bytes.Buffer
		m := &marks{next: &passed, tell: func(percent int) { got = append(got, percent) }}
		for rest := text; len(rest) > 0; rest = rest[min(size, len(rest)):] {
			if _, err := m.Write(rest[:min(size, len(rest))]); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(got, want) || !bytes.Equal(passed.Bytes(), text) {
			t.Errorf("in parts of %d: %v", size, got)
		}
	}
}

func FuzzProgress(f *testing.F) {
	for _, seed := range []string{"[12/345] CXX", "[ 42%] x", "42%\r43%\n", "[[1/2]]"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m := &marks{next: io.Discard, tell: func(percent int) {
			if percent < 0 || percent > 100 {
				t.Errorf("%d per cent", percent)
			}
		}}
		_, _ = m.Write(text)
	})
}

func BenchmarkMarks(b *testing.B) {
	line := bytes.Repeat([]byte("compiling something with a name of some length, as most lines are\n"), 1000)
	m := &marks{next: io.Discard, tell: func(int) {}}
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		_, _ = m.Write(line)
	}
}
