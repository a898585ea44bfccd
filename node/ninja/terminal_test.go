package ninja

import (
	"bytes"
	"strings"
	"testing"
)

// TestStatusFormat covers BuildTest's StatusFormat cases: the placeholders of
// NINJA_STATUS.
func TestStatusFormat(t *testing.T) {
	for format, want := range map[string]string{
		"[%%/e%e]":                 "[%/e1.500]",
		"[%%/s%s/t%t/r%r/u%u/f%f]": "[%/s3/t10/r1/u7/f2]",
		"%p ":                      " 20% ",
		"%o":                       "1.3",
		"%c":                       "?",
		"no placeholder":           "no placeholder",
		"":                         "",
	} {
		o := Defaults()
		o.StatusFormat = format
		s := newStatus(&bytes.Buffer{}, &bytes.Buffer{}, Screen{}, o)
		if err := s.begin(func() int { return 10 }); err != nil {
			t.Errorf("%q: %v", format, err)
		}
		s.started, s.running, s.finished = 3, 1, 2
		if got := s.progress(1500); got != want {
			t.Errorf("%q: %q, want %q", format, got, want)
		}
	}
	for format, letter := range map[string]string{"%x": "x", "[%f/%": "\x00"} {
		o := Defaults()
		o.StatusFormat = format
		err := newStatus(&bytes.Buffer{}, &bytes.Buffer{}, Screen{}, o).begin(func() int { return 1 })
		if want := "unknown placeholder '%" + letter + "' in $NINJA_STATUS"; err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %q", format, err, want)
		}
	}
}

// A terminal that knows no escapes gets none, and who wants no colours has none.
func TestWhatAScreenMayShow(t *testing.T) {
	for _, tc := range []struct {
		terminal bool
		env      map[string]string
		want     Screen
	}{
		{true, map[string]string{"TERM": "xterm"}, Screen{Smart: true, Color: true}},
		{true, map[string]string{"TERM": "dumb"}, Screen{}},
		{true, nil, Screen{}},
		{false, map[string]string{"TERM": "xterm"}, Screen{}},
		{true, map[string]string{"TERM": "xterm", "NO_COLOR": "1"}, Screen{Smart: true}},
		{true, map[string]string{"TERM": "xterm", "NO_COLOR": ""}, Screen{Smart: true, Color: true}},
		{false, map[string]string{"CLICOLOR_FORCE": "1"}, Screen{Color: true}},
		{false, map[string]string{"CLICOLOR_FORCE": "0"}, Screen{}},
		{true, map[string]string{"TERM": "dumb", "CLICOLOR_FORCE": "1"}, Screen{Color: true}},
		{false, map[string]string{"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}, Screen{}},
	} {
		got := screenOf(tc.terminal, func(name string) (string, bool) { v, ok := tc.env[name]; return v, ok })
		if got.Smart != tc.want.Smart || got.Color != tc.want.Color {
			t.Errorf("%v, %v: %+v", tc.terminal, tc.env, got)
		}
	}
}

func TestRate(t *testing.T) {
	r := rate{last: -1, window: 2}
	for i, step := range []struct {
		finished int
		now      int64
		want     float64
	}{{0, 0, -1}, {1, 500, 4}, {1, 900, 4}, {2, 1500, 2}} {
		r.update(step.finished, step.now)
		if got := r.value(); got != step.want {
			t.Errorf("step %d: %v, want %v", i, got, step.want)
		}
	}
}

func TestElided(t *testing.T) {
	for _, tc := range []struct {
		text  string
		width int
		want  string
	}{
		{"Nothing to elide in this short string.", 80, "Nothing to elide in this short string."},
		{"0123456789", 10, "0123456789"}, {"01234567890123456789", 10, "012...789"}, {"01234567890123456789", 11, "0123...6789"},
		{"0123456789", 0, ""}, {"0123456789", 1, "."}, {"0123456789", 2, ".."}, {"0123456789", 3, "..."}, {"0123456789", 4, "..."}, {"ab", 2, ".."},
	} {
		if got := elided(tc.text, tc.width); got != tc.want {
			t.Errorf("%q in %d columns: %q, want %q", tc.text, tc.width, got, tc.want)
		}
	}
}

func TestWithoutEscapes(t *testing.T) {
	for text, want := range map[string]string{
		"affixmgr.cxx:286:15: \x1b[0m\x1b[0;1;35mwarning: \x1b[0m": "affixmgr.cxx:286:15: warning: ",
		"plain": "plain", "cut \x1b": "cut ", "cut \x1b[31": "cut ", "an \x1bother": "an other",
	} {
		if got := string(withoutEscapes([]byte(text))); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// TestSmartScreen is what a terminal gets: lines over lines, elided to its
// width, with the output of commands between them; and what waits while a
// console job has the terminal.
func TestSmartScreen(t *testing.T) {
	var out bytes.Buffer
	p := &printer{out: &out, screen: Screen{Smart: true, Width: func() int { return 12 }}}
	p.status("[1/3] first")
	p.status("[2/3] one that is long")
	p.onNewLine([]byte("output without an end"))
	p.status("[3/3] next")
	p.lock()
	p.status("[4/4] waits")
	p.onNewLine([]byte("so does this\n"))
	p.status("[5/5] and this")
	out.WriteString("<console>")
	p.unlock()
	p.onNewLine(nil)
	want := strings.Join([]string{
		"\r[1/3] first\x1b[K", "\r[2/3...long\x1b[K", "\noutput without an end", "\r[3/3] next\x1b[K", "\n", "<console>",
		"[4/4] waits\nso does this\n", "\r[5/5...this\x1b[K", "\n",
	}, "")
	if out.String() != want {
		t.Errorf("got  %q\nwant %q", out.String(), want)
	}
}

// TestColors covers what is left of a failure's and a command's colours.
func TestColors(t *testing.T) {
	for _, tc := range []struct {
		color bool
		want  string
	}{
		{false, "[1/1] say \x1b[31mred && fail\nFAILED: out \nsay \x1b[31mred && fail\nred\nninja: build stopped: subcommand failed.\n"},
		{true, "[1/1] say \x1b[31mred && fail\n\x1b[31mFAILED: \x1b[0mout \nsay \x1b[31mred && fail\n\x1b[31mred\nninja: build stopped: subcommand failed.\n"},
	} {
		b := newBox()
		b.put("build.ninja", "rule r\n  command = say \x1b[31mred && fail\nbuild out: r\n")
		var out bytes.Buffer
		o := Defaults()
		Run(t.Context(), o, World{Stdout: &out, Stderr: &out, Screen: Screen{Color: tc.color}, Disk: b, Runner: b})
		if out.String() != tc.want {
			t.Errorf("got  %q\nwant %q", out.String(), tc.want)
		}
	}
}
