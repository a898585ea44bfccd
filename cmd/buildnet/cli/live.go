package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/buildnet/buildnet/node/event"
)

const (
	// tickEvery is how often ages are drawn again.
	tickEvery = 250 * time.Millisecond
	// maxRunning is how many running steps are shown.
	maxRunning = 12
	// barWidth of the progress, in cells.
	barWidth = 24
)

// live shows a build on a terminal: what runs now, below what is worth keeping.
// It begins when something runs: a build with nothing to do is over before a
// screen could be drawn.
type live struct {
	out, screen io.Writer
	board       *board       // the program's, once there is one
	program     *tea.Program // nil until something runs
	ended       chan struct{}
	// summary waits for the view's end.
	summary string
	names   names
}

func newLive(out, screen io.Writer) *live {
	return &live{
		out: out, screen: screen, ended: make(chan struct{}), names: names{},
		board: &board{began: time.Now(), running: map[string]runningStep{}},
	}
}

func (l *live) start() {
	l.program = tea.NewProgram(l.board, tea.WithOutput(l.screen), tea.WithInput(nil), tea.WithoutSignalHandler())
	go func() {
		defer close(l.ended)
		// It ends when it is told to; a terminal that cannot be written to is
		// no reason for a build to fail.
		_, _ = l.program.Run()
	}()
}

// event implements view.
func (l *live) event(e event.Event) {
	switch e := e.(type) {
	case event.BuildStarted:
		if e.Names != nil {
			l.names = e.Names
		}
	case event.StepStarted, event.HookStarted:
		if l.program == nil {
			l.start()
		}
	case event.BuildFinished:
		l.summary = summaryOf(e, l.names)
	}
	text := strings.TrimRight(l.worthKeeping(e), "\n")
	now := happened{event: e, at: time.Now()}
	if l.program == nil {
		l.board.Update(now)
		if text != "" {
			fmt.Fprintln(l.screen, text)
		}
		return
	}
	l.program.Send(now)
	if text != "" {
		l.program.Println(text)
	}
}

// worthKeeping is what stays on the terminal above the view.
func (l *live) worthKeeping(e event.Event) string {
	if s, ok := e.(event.StepFinished); ok && s.Status != event.Failed {
		return ""
	}
	switch e.(type) {
	case event.HookStarted, event.BuildExpected: // the view shows them
		return ""
	}
	return l.names.describe(e)
}

// close implements view.
func (l *live) close() {
	if l.program != nil {
		l.program.Quit()
		<-l.ended
	}
	// The summary is data, and may be all that the user wants to keep.
	fmt.Fprint(l.out, l.summary)
}

// happened is an event and when it came.
type happened struct {
	event event.Event
	at    time.Time
}

// tick is the time.
type tick time.Time

type runningStep struct {
	peer  string
	since time.Time
	// far is how much of it is done, as it is shown; "" if that is not known.
	far string
}

// board is what the live view shows. It is a tea.Model, and pure.
type board struct {
	now, began  time.Time
	width       int
	names       names
	steps, done int
	cached      int
	leader      string
	running     map[string]runningStep
	hook        string
	over        bool
	executed    int
	// end is when the build ends by the critical path; zero when not known.
	end time.Time
}

// Init implements tea.Model.
func (b *board) Init() tea.Cmd { return nextTick() }

func nextTick() tea.Cmd { return tea.Tick(tickEvery, func(t time.Time) tea.Msg { return tick(t) }) }

// Update implements tea.Model.
func (b *board) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tick:
		b.now = time.Time(msg)
		return b, nextTick()
	case tea.WindowSizeMsg:
		b.width = msg.Width
	case happened:
		b.now = msg.at
		b.take(msg.event)
	}
	return b, nil
}

func (b *board) take(e event.Event) {
	switch e := e.(type) {
	case event.BuildStarted:
		b.steps, b.names, b.began = e.Steps, e.Names, b.now
	case event.BuildExpected:
		b.end = b.now.Add(time.Duration(e.ETAMS) * time.Millisecond)
	case event.LeaderElected:
		b.leader = e.Leader
	case event.StepStarted:
		b.running[e.Step] = runningStep{peer: e.Peer, since: b.now}
	case event.TaskProgress:
		if r, ok := b.running[e.Step]; ok && r.peer == e.Peer {
			r.far = far(e)
			b.running[e.Step] = r
		}
	case event.StepFinished:
		delete(b.running, e.Step)
		b.done, b.steps = e.Done, e.Steps
		if e.ETAMS > 0 {
			b.end = b.now.Add(time.Duration(e.ETAMS) * time.Millisecond)
		}
		switch e.Status {
		case event.Executed:
			b.executed++
		case event.CachedLocal, event.CachedMesh, event.Skipped:
			b.cached++
		}
	case event.HookStarted:
		b.hook = e.Package + ": " + e.Hook
	case event.HookFinished:
		b.hook = ""
	case event.BuildFinished:
		b.over = true
	}
}

// View implements tea.Model.
func (b *board) View() tea.View {
	if b.over || b.steps == 0 && b.hook == "" {
		return tea.NewView("")
	}
	lines := []string{b.progress()}
	if b.hook != "" {
		lines = append(lines, "  running "+b.hook)
	}
	oldest := b.oldest()
	shown := oldest[:min(len(oldest), maxRunning)]
	column := ""
	if slices.ContainsFunc(shown, func(step string) bool { return b.running[step].far != "" }) {
		column = "%5s  "
	}
	for _, step := range shown {
		r := b.running[step]
		how := ""
		if column != "" {
			how = fmt.Sprintf(column, r.far)
		}
		lines = append(lines, fmt.Sprintf("  %6s  %s%s  %s", age(b.now.Sub(r.since)), how, b.names.of(r.peer), step))
	}
	if more := len(oldest) - maxRunning; more > 0 {
		lines = append(lines, fmt.Sprintf("  and %d more", more))
	}
	for i := range lines {
		lines[i] = cut(lines[i], b.width)
	}
	return tea.NewView(strings.Join(lines, "\n"))
}

// far is how much of a step is done: what is only guessed is marked so.
func far(e event.TaskProgress) string {
	if e.By == event.Aged {
		return fmt.Sprintf("~%d%%", e.Percent)
	}
	return fmt.Sprintf("%d%%", e.Percent)
}

// progress is the line with the counts.
func (b *board) progress() string {
	filled := 0
	if b.steps > 0 {
		filled = min(barWidth, barWidth*b.done/b.steps)
	}
	text := fmt.Sprintf("[%s%s] %d/%d, %d cached, %d running, %s", strings.Repeat("#", filled), strings.Repeat(".", barWidth-filled),
		b.done, b.steps, b.cached, len(b.running), age(b.now.Sub(b.began)))
	if left, ok := b.left(); ok {
		text += ", about " + age(left) + " left"
	}
	return text
}

// left says how long the rest takes: by the critical path where that is known,
// else by how fast steps were executed so far.
func (b *board) left() (time.Duration, bool) {
	if !b.end.IsZero() {
		return max(0, b.end.Sub(b.now)), true
	}
	if b.executed < 3 || b.done >= b.steps {
		return 0, false
	}
	return time.Duration(float64(b.now.Sub(b.began)) / float64(b.executed) * float64(b.steps-b.done)), true
}

func (b *board) oldest() []string {
	steps := sortedKeys(b.running)
	slices.SortStableFunc(steps, func(x, y string) int { return b.running[x].since.Compare(b.running[y].since) })
	return steps
}

func age(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.1fs", max(0, d).Seconds())
	}
	return d.Round(time.Second).String()
}

// cut keeps a line within the terminal, so that no line takes two.
func cut(line string, width int) string {
	runes := []rune(line)
	if width <= 0 || len(runes) <= width {
		return line
	}
	return string(runes[:width])
}
