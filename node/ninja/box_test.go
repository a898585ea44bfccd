package ninja

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
)

// box is a disk in memory with a clock that advances with every command, and a
// runner of small commands: steps joined by " && ", of words.
//
//	make            write all outputs, with what the inputs hold
//	touch FILES     write the files, empty
//	write FILE TEXT write "TEXT" with ; for line ends
//	cp A B          copy
//	need FILES      fail if a file is missing
//	say TEXT        output
//	fail, interrupt, true
type box struct {
	mu    sync.Mutex
	now   int64
	files map[string]boxFile
	// ran are the first outputs of commands, in the order in which they ended.
	ran []string
	// made are directories, and bad paths cannot be looked at.
	made, bad map[string]bool
}

type boxFile struct {
	text  string
	mtime int64
}

func newBox() *box {
	return &box{now: 1, files: map[string]boxFile{}, made: map[string]bool{}, bad: map[string]bool{}}
}

func (b *box) put(path, text string) { b.files[path] = boxFile{text, b.now} }

func (b *box) Stat(path string) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bad[path] {
		return 0, fmt.Errorf("stat(%s): Bad", path)
	}
	return b.files[path].mtime, nil
}

func (b *box) ReadFile(path string) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f, ok := b.files[path]
	if !ok {
		return "", &systemError{fs.ErrNotExist}
	}
	return f.text, nil
}

func (b *box) MakeDirs(path string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range len(path) {
		if path[i] == '/' && i > 0 {
			b.made[path[:i]] = true
		}
	}
	return nil
}

func (b *box) WriteFile(path string, content []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.put(path, string(content))
	return nil
}

func (b *box) Remove(path string) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bad["remove "+path] {
		return false, fmt.Errorf("remove(%s): Bad", path)
	}
	_, ok := b.files[path]
	delete(b.files, path)
	return ok, nil
}

func (b *box) Append(path string, header, data []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := b.files[path].text
	if text == "" {
		text = string(header)
	}
	b.put(path, text+string(data))
	return nil
}

func (b *box) Replace(path string, content []byte) error { return b.WriteFile(path, content) }

func (b *box) Truncate(path string, size int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.put(path, b.files[path].text[:size])
	return nil
}

func (b *box) Run(_ context.Context, job Job) Result {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ran = append(b.ran, job.Outs[0])
	b.now++
	r := Result{Status: Succeeded}
	for step := range strings.SplitSeq(job.Command, " && ") {
		if r.Status != Succeeded {
			break
		}
		b.step(job, strings.Fields(step), &r)
	}
	b.now++
	return r
}

func (b *box) step(job Job, words []string, r *Result) {
	switch args := words[1:]; words[0] {
	case "make":
		var text strings.Builder
		for _, in := range job.Ins {
			text.WriteString(b.files[in].text)
		}
		for _, o := range job.Outs {
			b.put(o, text.String())
		}
	case "touch":
		for _, o := range args {
			b.put(o, "")
		}
	case "write":
		b.put(args[0], strings.ReplaceAll(strings.Join(args[1:], " "), ";", "\n"))
	case "cp":
		b.put(args[1], b.files[args[0]].text)
	case "need":
		for _, in := range args {
			if _, ok := b.files[in]; !ok {
				r.Status = Failed
			}
		}
	case "say":
		r.Output = append(r.Output, strings.Join(args, " ")...)
	case "fail":
		r.Status = Failed
	case "interrupt":
		r.Status = Interrupted
	case "true":
	default:
		r.Status, r.Output = Failed, []byte("no such step: "+words[0])
	}
}

// play carries out a script against a box. Its lines:
//
//	| LINE                a line of the manifest: the first after another verb begins it anew
//	write FILE TEXT       write a file now; the clock advances
//	touch FILE, rm FILE, bad FILE, good FILE
//	ninja ARGS            run it with -j1
//
// and behind ninja, what it did:
//
//	ran OUTPUTS           the first outputs of the commands that ran, * for any: must be there
//	exit N                instead of 0
//	says TEXT             a line of stdout; without TEXT, stdout was empty
//	complains TEXT        a line of stderr
//	has FILE TEXT, lacks FILE
func play(t *testing.T, script string) {
	t.Helper()
	p := &player{t: t, box: newBox(), code: -1}
	for line := range strings.Lines(script) {
		p.line(strings.TrimSpace(line))
	}
	p.settle()
}

type player struct {
	t      *testing.T
	box    *box
	last   string // the verb of the line before
	text   string // the manifest
	call   string
	code   int // of the last call, and -1 before it
	wanted int
	ran    bool
	out    bytes.Buffer
	err    bytes.Buffer
}

// ruleSet is in front of every manifest.
const ruleSet = "rule make\n  command = make\nrule touch\n  command = touch $out\nrule fail\n  command = fail\nrule true\n  command = true\n"

func (p *player) line(line string) {
	p.t.Helper()
	verb, rest, _ := strings.Cut(line, " ")
	b := p.box
	switch verb {
	case "", "#":
		return
	case "|":
		if p.last != "|" {
			p.text = ruleSet
		}
		p.text += rest + "\n"
		b.put("build.ninja", p.text)
	case "write":
		file, text, _ := strings.Cut(rest, " ")
		b.put(file, strings.ReplaceAll(text, ";", "\n"))
		b.now++
	case "touch":
		for _, f := range strings.Fields(rest) {
			b.put(f, b.files[f].text)
		}
		b.now++
	case "rm":
		for _, f := range strings.Fields(rest) {
			delete(b.files, f)
		}
	case "bad":
		b.bad[rest] = true
	case "good":
		delete(b.bad, rest)
	case "ninja":
		p.settle()
		p.ninja(rest)
	default:
		p.check(verb, rest)
	}
	p.last = verb
}

func (p *player) ninja(args string) {
	p.t.Helper()
	if _, ok := p.box.files["build.ninja"]; !ok {
		p.box.put("build.ninja", ruleSet)
	}
	o, err := Parse(append([]string{"-j1"}, strings.Fields(args)...), func(string) (string, bool) { return "", false })
	var answer *Answer
	if errors.As(err, &answer) {
		p.code, p.wanted, p.ran, p.call = answer.Code, 0, true, args
		p.out.Reset()
		p.err.Reset()
		p.out.WriteString(answer.Stdout)
		p.err.WriteString(answer.Stderr)
		return
	}
	p.out.Reset()
	p.err.Reset()
	p.box.ran = nil
	p.call, p.wanted, p.ran = args, 0, false
	p.code = Run(p.t.Context(), o, World{Dir: "/box", Stdout: &p.out, Stderr: &p.err, Disk: p.box, Runner: p.box})
	p.box.now++
}

// settle checks what a call must be asked for.
func (p *player) settle() {
	p.t.Helper()
	if p.code < 0 {
		return
	}
	if p.code != p.wanted {
		p.t.Errorf("ninja %s: exit %d, want %d\n%s%s", p.call, p.code, p.wanted, p.out.String(), p.err.String())
	}
	if !p.ran && len(p.box.ran) > 0 {
		p.t.Errorf("ninja %s: ran %q, and the script does not ask", p.call, p.box.ran)
	}
}

func (p *player) check(verb, rest string) {
	p.t.Helper()
	lines := func(b *bytes.Buffer) (all []string) {
		for line := range strings.Lines(b.String()) {
			all = append(all, strings.TrimSpace(line))
		}
		return all
	}
	switch verb {
	case "ran":
		p.ran = true
		if rest != "*" && !slices.Equal(p.box.ran, strings.Fields(rest)) {
			p.t.Errorf("ninja %s: ran %q, want %q\n%s%s", p.call, p.box.ran, strings.Fields(rest), p.out.String(), p.err.String())
		}
	case "exit":
		if _, err := fmt.Sscan(rest, &p.wanted); err != nil {
			p.t.Fatal(err)
		}
	case "says":
		if !slices.Contains(lines(&p.out), rest) {
			p.t.Errorf("ninja %s: says\n%swithout %q", p.call, p.out.String(), rest)
		}
	case "complains":
		if !slices.Contains(lines(&p.err), rest) {
			p.t.Errorf("ninja %s: complains\n%swithout %q", p.call, p.err.String(), rest)
		}
	case "has":
		name, text, _ := strings.Cut(rest, " ")
		if f, ok := p.box.files[name]; !ok || f.text != strings.ReplaceAll(text, ";", "\n") {
			p.t.Errorf("ninja %s: %s holds %q (there: %v), want %q", p.call, name, f.text, ok, text)
		}
	case "lacks":
		for _, name := range strings.Fields(rest) {
			if _, ok := p.box.files[name]; ok {
				p.t.Errorf("ninja %s: %s is there, among %q", p.call, name, slices.Sorted(maps.Keys(p.box.files)))
			}
		}
	case "directory":
		if !p.box.made[rest] {
			p.t.Errorf("ninja %s: made no %s", p.call, rest)
		}
	default:
		p.t.Fatalf("unknown verb %q", verb)
	}
}
