package ninja

import (
	"fmt"
	"io"
	"strings"

	"github.com/buildnet/buildnet/node/project/ninja"
)

// Verbosity is how much is said of a build.
type Verbosity uint8

const (
	// Normal shows descriptions, where there are any, and the output of commands.
	Normal Verbosity = iota
	// Verbose shows whole commands.
	Verbose
	// NoStatus shows only the output of commands.
	NoStatus
)

// defaultStatus precedes a status line if NINJA_STATUS says nothing else.
const defaultStatus = "[%f/%t] "

// placeholders are the letters that may follow a % in NINJA_STATUS.
const placeholders = "%strufocpe"

// status says how a build goes.
type status struct {
	out       *printer
	errors    io.Writer
	verbosity Verbosity
	format    string
	// total counts the commands that the plan has.
	total                      func() int
	started, finished, running int
	// failed are those of finished that failed.
	failed int
	rate   rate
}

func newStatus(out, errors io.Writer, screen Screen, o Options) *status {
	if o.Verbosity != Normal {
		screen.Smart = false
	}
	return &status{
		out: &printer{out: out, screen: screen}, errors: errors, verbosity: o.Verbosity,
		format: o.StatusFormat, rate: rate{last: -1, window: o.jobsHere()},
	}
}

func (s *status) info(format string, args ...any) {
	fmt.Fprintf(s.out.out, "ninja: "+format+"\n", args...)
}

func (s *status) warning(format string, args ...any) {
	fmt.Fprintf(s.errors, "ninja: warning: "+format+"\n", args...)
}

func (s *status) error(format string, args ...any) {
	fmt.Fprintf(s.errors, "ninja: error: "+format+"\n", args...)
}

func (s *status) fatal(format string, args ...any) {
	fmt.Fprintf(s.errors, "ninja: fatal: "+format+"\n", args...)
}

// begin starts to count, and refuses a format that it does not know.
func (s *status) begin(total func() int) error {
	s.total, s.started, s.finished, s.running, s.failed = total, 0, 0, 0, 0
	if s.verbosity == NoStatus {
		return nil
	}
	for i := 0; i < len(s.format); i++ {
		if s.format[i] != '%' {
			continue
		}
		i++
		if i == len(s.format) || !strings.Contains(placeholders, s.format[i:i+1]) {
			letter := "\x00"
			if i < len(s.format) {
				letter = s.format[i : i+1]
			}
			return fatalError{fmt.Errorf("unknown placeholder '%%%s' in $NINJA_STATUS", letter)}
		}
	}
	return nil
}

func (s *status) end() {
	s.out.unlock()
	s.out.onNewLine(nil)
}

// start says that an edge starts, at now milliseconds.
func (s *status) start(e *ninja.Edge, now int64) error {
	s.started++
	s.running++
	if e.Console() || s.out.screen.Smart {
		if err := s.line(e, now); err != nil {
			return err
		}
	}
	if e.Console() {
		s.out.lock()
	}
	return nil
}

// finish says that an edge has ended, and what it wrote.
func (s *status) finish(e *ninja.Edge, now int64, r Result) error {
	s.finished++
	if e.Console() {
		s.out.unlock()
	} else if err := s.line(e, now); err != nil {
		return err
	}
	s.running--
	if r.Status != Succeeded {
		s.failed++
		if err := s.failure(e); err != nil {
			return err
		}
	}
	if len(r.Output) > 0 {
		text := r.Output
		if !s.out.screen.Color {
			text = withoutEscapes(text)
		}
		s.out.onNewLine(text)
	}
	return nil
}

// withdraw says that an edge was not started after all.
func (s *status) withdraw(e *ninja.Edge) {
	s.started--
	s.running--
	if e.Console() {
		s.out.unlock()
	}
}

func (s *status) failure(e *ninja.Edge) error {
	command, err := e.Command()
	if err != nil {
		return err
	}
	word := "FAILED: "
	if s.out.screen.Color {
		word = "\x1b[31m" + word + "\x1b[0m"
	}
	var b strings.Builder
	b.WriteString(word)
	for _, o := range e.Outputs {
		b.WriteString(o.Path + " ")
	}
	s.out.onNewLine([]byte(b.String() + "\n"))
	s.out.onNewLine([]byte(command + "\n"))
	return nil
}

func (s *status) line(e *ninja.Edge, now int64) error {
	if s.verbosity == NoStatus {
		return nil
	}
	text, err := e.Binding("description")
	if err == nil && (text == "" || s.verbosity == Verbose) {
		text, err = e.Command()
	}
	if err != nil {
		return err
	}
	s.out.status(s.progress(now) + text)
	return nil
}

// progress is the format with its placeholders replaced.
func (s *status) progress(now int64) string {
	var b strings.Builder
	for i := 0; i < len(s.format); i++ {
		if s.format[i] != '%' {
			b.WriteByte(s.format[i])
			continue
		}
		i++
		b.WriteString(s.placeholder(s.format[i], now))
	}
	return b.String()
}

func (s *status) placeholder(letter byte, now int64) string {
	switch letter {
	case 's':
		return fmt.Sprint(s.started)
	case 't':
		return fmt.Sprint(s.total())
	case 'r':
		return fmt.Sprint(s.running)
	case 'u':
		return fmt.Sprint(s.total() - s.started)
	case 'f':
		return fmt.Sprint(s.finished)
	case 'o':
		return perSecond(float64(s.finished) / (float64(now) / 1000))
	case 'c':
		s.rate.update(s.finished, now)
		return perSecond(s.rate.value())
	case 'p':
		return fmt.Sprintf("%3d%%", 100*s.finished/max(s.total(), 1))
	case 'e':
		return fmt.Sprintf("%.3f", float64(now)/1000)
	default:
		return "%"
	}
}

func perSecond(rate float64) string {
	if rate == -1 {
		return "?"
	}
	return strings.ToLower(strings.TrimPrefix(fmt.Sprintf("%.1f", rate), "+"))
}

// rate is how many edges finish in a second, over as many as run at once.
type rate struct {
	times  []int64 // in milliseconds
	window int
	last   int
	now    float64
}

func (r *rate) value() float64 {
	if r.now == 0 {
		return -1
	}
	return r.now
}

func (r *rate) update(finished int, now int64) {
	if finished == r.last {
		return
	}
	r.last = finished
	if len(r.times) == r.window {
		r.times = r.times[1:]
	}
	r.times = append(r.times, now)
	if span := now - r.times[0]; span != 0 {
		r.now = float64(len(r.times)) / (float64(span) / 1000)
	}
}
