package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// logOf is a .ninja_log of version 5 with the lines.
func logOf(lines ...string) string { return CommandsHeader + strings.Join(lines, "\n") + "\n" }

// TestReadCommands covers what ninja's build_log_test says of reading: double
// entries, versions that are too old, version 4 with spaces in paths, a header
// that stands twice, lines that are too long, logs cut short.
func TestReadCommands(t *testing.T) {
	old := "build log version invalid, perhaps due to being too old; starting over"
	for _, tc := range []struct {
		name, text string
		want       map[string]Command
		warning    string
		keep       int // -1 means all
		stale      bool
	}{
		{name: "Empty", keep: -1},
		{name: "HeaderAlone", text: CommandsHeader, keep: -1},
		{name: "One", text: logOf("1\t2\t3\tout\tabc"), want: map[string]Command{"out": {1, 2, 3, 0xabc}}, keep: -1},
		{name: "TheLastCounts", text: logOf("0\t1\t2\tout\t1", "3\t4\t5\tout\t2"),
			want: map[string]Command{"out": {3, 4, 5, 2}}, keep: -1},
		{name: "SpacesInThePath", text: logOf("1\t2\t3\tout with space\tabc"),
			want: map[string]Command{"out with space": {1, 2, 3, 0xabc}}, keep: -1},
		{name: "Version4HasCommands", text: "# ninja log v4\n123\t456\t456\tout with space\tcommand\n",
			want: map[string]Command{"out with space": {123, 456, 456, Hash([]byte("command"))}}, keep: -1, stale: true},
		{name: "Version3", text: "# ninja log v3\n123 456 0 out command\n", warning: old},
		{name: "Version6", text: "# ninja log v6\n1\t2\t3\tout\tabc\n", warning: "build log version is too new; starting over"},
		{name: "NoHeader", text: "1\t2\t3\tout\tabc\n", warning: old},
		{name: "NotALog", text: "\x7fELF\x00\x00", warning: old},
		{name: "HeaderTwice", text: logOf("1\t2\t2\tout\t1", "# ninja log v5", "4\t5\t5\tout2\t2"),
			want: map[string]Command{"out": {1, 2, 2, 1}, "out2": {4, 5, 5, 2}}, keep: -1},
		{name: "TooLongALine", text: logOf("1\t2\t2\tout\t1"+strings.Repeat(" more", maxLine), "4\t5\t5\tout2\t2"),
			want: map[string]Command{"out2": {4, 5, 5, 2}}, keep: -1},
		{name: "FieldsMissing", text: logOf("1\t2\t2\tout", "1\t2", "", "4\t5\t5\tout2\t2"),
			want: map[string]Command{"out2": {4, 5, 5, 2}}, keep: -1},
		{name: "NumbersThatAreNone", text: logOf("x\ty\tz\tout\t1"), want: map[string]Command{"out": {0, 0, 0, 1}}, keep: -1},
		{name: "HashThatIsNone", text: logOf("1\t2\t3\tout\tzz"), want: map[string]Command{"out": {1, 2, 3, 0}}, keep: -1},
		{name: "CutShort", text: logOf("1\t2\t3\tout\tabc") + "4\t5\t6\tou", want: map[string]Command{"out": {1, 2, 3, 0xabc}},
			keep: len(logOf("1\t2\t3\tout\tabc"))},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, loaded := ReadCommands([]byte(tc.text))
			if tc.keep == -1 {
				tc.keep = len(tc.text)
			}
			if loaded != (Loaded{tc.warning, tc.keep}) {
				t.Errorf("loaded %+v, want %+v", loaded, Loaded{tc.warning, tc.keep})
			}
			if got := len(c.Outputs()); got != len(tc.want) {
				t.Errorf("%d outputs: %q", got, c.Outputs())
			}
			for output, want := range tc.want {
				if got, ok := c.Lookup(output); !ok || got != want {
					t.Errorf("%s: %+v, want %+v", output, got, want)
				}
			}
			if c.Stale() != tc.stale {
				t.Errorf("stale: %v", c.Stale())
			}
		})
	}
}

// TestNumbers has what C's atoi, strtoll and strtoull make of the same texts, by
// a program that was compiled with gcc 12.
func TestNumbers(t *testing.T) {
	for text, want := range map[string]int64{
		"12abc": 12, " 7": 7, "+5": 5, "-3": -3, "": 0, "-": 0, "0x1f": 0, "\v\f8": 8, "1 2": 1, "- 1": 0, "+-1": 0,
		"4294967297": 4294967297, "99999999999999999999": math.MaxInt64, "-99999999999999999999": math.MinInt64,
	} {
		if got := number(text); got != want {
			t.Errorf("%q is %d, want %d", text, got, want)
		}
	}
	for text, want := range map[string]uint64{
		"ABC": 0xabc, "0xabc": 0xabc, "0Xabc": 0xabc, "0x": 0, "abcg": 0xabc, "\t1": 1, "-1": math.MaxUint64, "-0x10": math.MaxUint64 - 15,
		"+f": 15, "zz": 0, "": 0, "123456789abcdef01": math.MaxUint64, "-123456789abcdef01": math.MaxUint64,
	} {
		if got := hexadecimal(text); got != want {
			t.Errorf("%q is %x, want %x", text, got, want)
		}
	}
	c, _ := ReadCommands([]byte(logOf("4294967297\t2147483648\t3\tout\t1")))
	if got, _ := c.Lookup("out"); got.Start != 1 || got.End != math.MinInt32 {
		t.Errorf("times of 33 bits are %+v", got)
	}
}

// TestCommandsCutAnywhere covers BuildLogTest's Truncate: whatever is left of a
// log can be read, and gives no output that was not in it.
func TestCommandsCutAnywhere(t *testing.T) {
	whole := logOf("15\t18\t0\tout\t1", "20\t25\t0\tmid\t2")
	for n := range len(whole) {
		c, loaded := ReadCommands([]byte(whole[:n]))
		if loaded.Keep > n {
			t.Errorf("of %d bytes, keep %d", n, loaded.Keep)
		}
		for _, o := range c.Outputs() {
			if o != "out" && o != "mid" {
				t.Errorf("of %d bytes, output %q", n, o)
			}
		}
	}
}

// TestRecordCommand covers writing: a signature first, one line for each output
// of an edge, and that what was written is read again.
func TestRecordCommand(t *testing.T) {
	c := NewCommands()
	text := CommandsHeader + string(c.Record([]string{"out", "out.d"}, Command{21, 22, 7, 0xbeef}))
	if want := "# ninja log v5\n21\t22\t7\tout\tbeef\n21\t22\t7\tout.d\tbeef\n"; text != want {
		t.Errorf("wrote %q, want %q", text, want)
	}
	again, loaded := ReadCommands([]byte(text))
	if loaded.Warning != "" || !slices.Equal(again.Outputs(), c.Outputs()) {
		t.Errorf("read back %q, %+v", again.Outputs(), loaded)
	}
}

// TestCompactCommands covers BuildLogRecompactTest: when a log is stale, and
// that dead outputs go.
func TestCompactCommands(t *testing.T) {
	c := NewCommands()
	text := []byte(CommandsHeader)
	for i := range 200 {
		text = append(text, c.Record([]string{"out"}, Command{15, 18 + i, 0, 1})...)
	}
	text = append(text, c.Record([]string{"out2"}, Command{21, 22, 0, 2})...)
	c, _ = ReadCommands(text)
	if !c.Stale() {
		t.Fatal("not stale")
	}
	small := c.Compact(func(output string) bool { return output == "out2" })
	if want := logOf("15\t217\t0\tout\t1"); string(small) != want {
		t.Errorf("compacted to %q, want %q", small, want)
	}
	if _, ok := c.Lookup("out2"); ok || c.Stale() {
		t.Error("a dead output is still there, or the log stale")
	}
	for _, lines := range []int{100, 101} {
		var text []byte
		text = append(text, CommandsHeader...)
		for range lines {
			text = append(text, "1\t2\t3\tout\t1\n"...)
		}
		if c, _ := ReadCommands(text); c.Stale() != (lines > 100) {
			t.Errorf("with %d lines, stale: %v", lines, c.Stale())
		}
	}
}

// TestRestatCommands covers BuildLogTest's Restat.
func TestRestatCommands(t *testing.T) {
	c, _ := ReadCommands([]byte(logOf("1\t2\t3\tout\t1", "1\t2\t3\tout2\t1")))
	text, err := c.Restat(func(output string, old int64) (int64, error) {
		if output == "out2" {
			return old, nil
		}
		return 4, nil
	})
	if want := logOf("1\t2\t4\tout\t1", "1\t2\t3\tout2\t1"); err != nil || string(text) != want {
		t.Errorf("restat: %q, %v; want %q", text, err, want)
	}
	no := errors.New("no")
	if _, err := c.Restat(func(string, int64) (int64, error) { return 0, no }); !errors.Is(err, no) {
		t.Errorf("restat that fails: %v", err)
	}
}

// hashes are of commands of up to two blocks of eight bytes and a bit, as ninja
// 1.11.1 has written them into a log.
var hashes = map[string]uint64{
	": ":                  0x98fe9d468fefab13,
	": x":                 0x5f0c5062bfb4c432,
	": xx":                0xf97dd016e19f984a,
	": xxx":               0xf0a4c9bfa3f79987,
	": xxxx":              0x7a60a0a81596b059,
	": xxxxx":             0x742dd8ec9ca3567e,
	": xxxxxx":            0x73f3edbccee18f81,
	": xxxxxxx":           0xe61b9d78c68d3dd7,
	": xxxxxxxx":          0x9e173c4668cd271b,
	": xxxxxxxxx":         0xe04096cadc758e54,
	": xxxxxxxxxx":        0x45e62b1120db4de,
	": xxxxxxxxxxx":       0x490c1ad44b233162,
	": xxxxxxxxxxxx":      0x179fb6eaae4963,
	": xxxxxxxxxxxxx":     0xfc7f1a2a1a946e4b,
	": xxxxxxxxxxxxxx":    0x7a7bff6a65c79c72,
	": xxxxxxxxxxxxxxx":   0xc27c18a793a3beeb,
	": xxxxxxxxxxxxxxxx":  0x11e5ba1ef1e479aa,
	": xxxxxxxxxxxxxxxxx": 0xc741582a911720ca,
}

func TestHash(t *testing.T) {
	for command, want := range hashes {
		if got := Hash([]byte(command)); got != want {
			t.Errorf("hash of %q is %x, want %x", command, got, want)
		}
	}
}

// depsOf writes a log by recording.
func depsOf(t *testing.T, record ...func(*Deps) ([]byte, error)) []byte {
	t.Helper()
	text := DepsHeader()
	d := NewDeps()
	for _, r := range record {
		b, err := r(d)
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, b...)
	}
	return text
}

func on(output string, mtime int64, inputs ...string) func(*Deps) ([]byte, error) {
	return func(d *Deps) ([]byte, error) { return d.Record(output, mtime, inputs) }
}

func checkDeps(t *testing.T, d *Deps, output string, mtime int64, inputs ...string) {
	t.Helper()
	got, at, ok := d.Lookup(output)
	if !ok || at != mtime || !slices.Equal(got, inputs) {
		t.Errorf("%s: %q at %d (known: %v), want %q at %d", output, got, at, ok, inputs, mtime)
	}
}

// TestDepsReadBack covers DepsLogTest's WriteRead and LotsOfDeps.
func TestDepsReadBack(t *testing.T) {
	lots := make([]string, 100_000)
	for i := range lots {
		lots[i] = fmt.Sprintf("file%d.h", i)
	}
	text := depsOf(t, on("out.o", 1, "foo.h", "bar.h"), on("out2.o", 1<<40+7, "foo.h", "bar2.h"), on("none.o", 3), on("lots.o", 4, lots...))
	d, loaded := ReadDeps(text)
	if loaded != (Loaded{Keep: len(text)}) {
		t.Fatalf("loaded %+v", loaded)
	}
	checkDeps(t, d, "out.o", 1, "foo.h", "bar.h")
	checkDeps(t, d, "out2.o", 1<<40+7, "foo.h", "bar2.h")
	checkDeps(t, d, "none.o", 3)
	checkDeps(t, d, "lots.o", 4, lots...)
	if want := []string{"out.o", "foo.h", "bar.h", "out2.o", "bar2.h", "none.o", "lots.o"}; !slices.Equal(d.Paths()[:7], want) {
		t.Errorf("paths %q, want %q", d.Paths()[:7], want)
	}
	if _, _, ok := d.Lookup("foo.h"); ok {
		t.Error("an input has inputs")
	}
}

// TestDepsLayout has the bytes of a log: number, padding, complement.
func TestDepsLayout(t *testing.T) {
	got := depsOf(t, on("out", 0x1_0000_0002, "h.h2"))
	want := []byte("# ninjadeps\n\x04\x00\x00\x00" +
		"\x08\x00\x00\x00out\x00\xff\xff\xff\xff" + "\x08\x00\x00\x00h.h2\xfe\xff\xff\xff" +
		"\x10\x00\x00\x80\x00\x00\x00\x00\x02\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00")
	if !bytes.Equal(got, want) {
		t.Errorf("wrote %q, want %q", got, want)
	}
}

// TestDepsAreWrittenOnce covers DepsLogTest's DoubleEntry.
func TestDepsAreWrittenOnce(t *testing.T) {
	d := NewDeps()
	for i, tc := range []struct {
		record func(*Deps) ([]byte, error)
		writes bool
	}{
		{on("out.o", 1, "a.h"), true},
		{on("out.o", 1, "a.h"), false},
		{on("out.o", 2, "a.h"), true},
		{on("out.o", 2, "a.h", "b.h"), true},
		{on("out.o", 2, "b.h", "a.h"), true},
		{on("out.o", 2, "b.h", "a.h"), false},
	} {
		if b, err := tc.record(d); err != nil || (len(b) > 0) != tc.writes {
			t.Errorf("%d: wrote %d bytes, %v", i, len(b), err)
		}
	}
}

// TestCompactDeps covers DepsLogTest's Recompact: superseded records go, and
// those of outputs that are no longer made that way.
func TestCompactDeps(t *testing.T) {
	text := depsOf(t, on("out.o", 1, "foo.h", "bar.h"), on("other.o", 1, "foo.h", "baz.h"), on("out.o", 1, "foo.h"))
	d, _ := ReadDeps(text)
	small := d.Compact(func(string) bool { return true })
	if len(small) >= len(text) {
		t.Errorf("%d bytes of %d", len(small), len(text))
	}
	for _, d := range []*Deps{d, readDeps(t, small)} {
		checkDeps(t, d, "out.o", 1, "foo.h")
		checkDeps(t, d, "other.o", 1, "foo.h", "baz.h")
		if want := []string{"out.o", "foo.h", "other.o", "baz.h"}; !slices.Equal(d.Paths(), want) {
			t.Errorf("paths %q, want %q", d.Paths(), want)
		}
	}
	if empty := d.Compact(func(string) bool { return false }); !bytes.Equal(empty, DepsHeader()) || len(d.Paths()) > 0 {
		t.Errorf("nothing is live: %q, %q", empty, d.Paths())
	}
	var many []func(*Deps) ([]byte, error)
	for i := range 1001 {
		many = append(many, on("out.o", int64(i), "foo.h"))
	}
	if !readDeps(t, depsOf(t, many...)).Stale() || readDeps(t, depsOf(t, many[:1000]...)).Stale() {
		t.Error("a log is stale with more than 1000 records of one output")
	}
}

func readDeps(t *testing.T, text []byte) *Deps {
	t.Helper()
	d, loaded := ReadDeps(text)
	if loaded != (Loaded{Keep: len(text)}) {
		t.Fatalf("loaded %+v of %d bytes", loaded, len(text))
	}
	return d
}

// TestBadDeps covers DepsLogTest's InvalidHeader, and records that make no sense.
func TestBadDeps(t *testing.T) {
	bad := "bad deps log signature or version; starting over"
	recovering := "premature end of file; recovering"
	header := string(DepsHeader())
	path := "\x08\x00\x00\x00out\x00\xff\xff\xff\xff"
	for name, tc := range map[string]struct {
		text string
		want Loaded
	}{
		"Empty":            {"", Loaded{}},
		"HalfASignature":   {"# ninjad", Loaded{Warning: bad}},
		"NoVersion":        {"# ninjadeps\n", Loaded{Warning: bad}},
		"OtherVersion":     {"# ninjadeps\n\x02\x00\x00\x00", Loaded{Warning: bad}},
		"Version1":         {"# ninjadeps\n\x01\x00\x00\x00", Loaded{Warning: "deps log version change; rebuilding"}},
		"Version1More":     {"# ninjadeps\n\x01\x00\x00\x00" + path, Loaded{Warning: "deps log version change; rebuilding"}},
		"OtherFile":        {"# ninja log v5\n1\t2\t3\t4\t5\n", Loaded{Warning: bad}},
		"HeaderAlone":      {header, Loaded{Keep: 16}},
		"HalfALength":      {header + "\x08\x00", Loaded{Keep: 16}},
		"HalfARecord":      {header + path[:9], Loaded{recovering, 16}},
		"EmptyRecord":      {header + "\x00\x00\x00\x00", Loaded{recovering, 16}},
		"PathWithoutName":  {header + "\x04\x00\x00\x00\xff\xff\xff\xff", Loaded{recovering, 16}},
		"WrongNumber":      {header + "\x08\x00\x00\x00out\x00\xfe\xff\xff\xff", Loaded{recovering, 16}},
		"PathTwice":        {header + path + "\x08\x00\x00\x00out\x00\xfe\xff\xff\xff", Loaded{recovering, 28}},
		"TooLong":          {header + "\x00\x00\x08\x00" + strings.Repeat("x", 1<<19), Loaded{recovering, 16}},
		"UnknownOutput":    {header + path + "\x0c\x00\x00\x80\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", Loaded{recovering, 28}},
		"UnknownInput":     {header + path + "\x10\x00\x00\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00", Loaded{recovering, 28}},
		"NegativeInput":    {header + path + "\x10\x00\x00\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff", Loaded{recovering, 28}},
		"TooShortForMtime": {header + path + "\x08\x00\x00\x80\x00\x00\x00\x00\x00\x00\x00\x00", Loaded{recovering, 28}},
		"NotInFours":       {header + path + "\x0d\x00\x00\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", Loaded{recovering, 28}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, got := ReadDeps([]byte(tc.text)); got != tc.want {
				t.Errorf("loaded %+v, want %+v", got, tc.want)
			}
		})
	}
}

// TestDepsCutAnywhere covers DepsLogTest's Truncated and TruncatedRecovery: what
// is whole is kept, and one can go on behind it.
func TestDepsCutAnywhere(t *testing.T) {
	text := depsOf(t, on("out.o", 1, "foo.h", "bar.h"), on("out2.o", 2, "foo.h", "bar2.h"))
	known := 2
	for n := len(text); n > 0; n-- {
		d, loaded := ReadDeps(text[:n])
		var now int
		for _, o := range []string{"out.o", "out2.o"} {
			if _, _, ok := d.Lookup(o); ok {
				now++
			}
		}
		if now > known {
			t.Fatalf("%d bytes tell of more than %d", n, n+1)
		}
		known = now
		if loaded.Keep == 0 {
			continue
		}
		more, err := d.Record("out3.o", 3, []string{"foo.h", "new.h"})
		if err != nil {
			t.Fatal(err)
		}
		again := readDeps(t, append(bytes.Clone(text[:loaded.Keep]), more...))
		checkDeps(t, again, "out3.o", 3, "foo.h", "new.h")
	}
}

// TestDependent covers DepsLogTest's ReverseDepsNodes.
func TestDependent(t *testing.T) {
	d := readDeps(t, depsOf(t, on("out.o", 1, "foo.h", "bar.h"), on("out2.o", 2, "foo.h", "bar2.h")))
	for input, want := range map[string]string{"foo.h": "out.o", "bar.h": "out.o", "bar2.h": "out2.o", "out.o": "", "unknown": ""} {
		if got, ok := d.Dependent(input); got != want || ok != (want != "") {
			t.Errorf("%s: %q, %v; want %q", input, got, ok, want)
		}
	}
}

// TestDepsThatDoNotFit covers the limits of a record.
func TestDepsThatDoNotFit(t *testing.T) {
	d := NewDeps()
	long := strings.Repeat("x", maxRecord)
	for name, r := range map[string]func(*Deps) ([]byte, error){
		"Output": on(long, 1), "Input": on("out", 1, long), "Inputs": on("out", 1, make([]string, maxRecord/4)...), "NoPath": on("out", 1, ""),
	} {
		if b, err := r(d); !errors.Is(err, ErrRecordTooLong) || len(b) > 0 {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
	}
	if len(d.Paths()) > 0 {
		t.Errorf("refused, but numbered: %d paths", len(d.Paths()))
	}
	if binary.Size(uint32(0))*3 != depsHead {
		t.Error("a record's head is three numbers")
	}
}

func FuzzCommands(f *testing.F) {
	f.Add([]byte(logOf("1\t2\t3\tout\tabc")))
	f.Add([]byte("# ninja log v4\n1\t2\t3\tout\tcommand\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, loaded := ReadCommands(data)
		if loaded.Keep > len(data) {
			t.Fatalf("keep %d of %d", loaded.Keep, len(data))
		}
		outputs := c.Outputs()
		again, _ := ReadCommands(c.Compact(func(string) bool { return false }))
		if !slices.Equal(again.Outputs(), outputs) {
			t.Fatalf("compacted %q to %q", outputs, again.Outputs())
		}
	})
}

func FuzzDeps(f *testing.F) {
	d := NewDeps()
	b, err := d.Record("out", 5, []string{"in", "in2"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append(DepsHeader(), b...))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, loaded := ReadDeps(data)
		if loaded.Keep > len(data) {
			t.Fatalf("keep %d of %d", loaded.Keep, len(data))
		}
		if _, again := ReadDeps(data[:loaded.Keep]); again.Keep != loaded.Keep || loaded.Keep > 0 && again.Warning != "" {
			t.Fatalf("what was kept reads as %+v", again)
		}
		if small := d.Compact(func(string) bool { return true }); loaded.Keep > 0 && len(small) > loaded.Keep {
			t.Fatalf("compacted %d bytes to %d", loaded.Keep, len(small))
		}
	})
}
