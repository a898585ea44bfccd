package ninja

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// Screen is what the standard output is.
type Screen struct {
	// Smart means that a line can be written over.
	Smart bool
	// Color means that escapes of commands' output are passed on.
	Color bool
	// Width returns the columns of a smart screen; nil, or 0, means unknown.
	Width func() int
}

// printer writes status lines, one over the other on a smart screen, and the
// output of commands between them.
type printer struct {
	out    io.Writer
	screen Screen
	// midLine is set when the cursor stands behind something.
	midLine bool
	// locked is set while a console job has the terminal: what would be written
	// waits, the newest status line apart from all else.
	locked bool
	line   string
	waits  bytes.Buffer
}

// status writes a status line; on a smart screen it is made to fit.
func (p *printer) status(line string) {
	if p.locked {
		p.line = line
		return
	}
	if !p.screen.Smart {
		fmt.Fprintf(p.out, "%s\n", line)
		return
	}
	if p.screen.Width != nil {
		if width := p.screen.Width(); width > 0 {
			line = elided(line, width)
		}
	}
	fmt.Fprintf(p.out, "\r%s\x1b[K", line)
	p.midLine = true
}

// onNewLine writes text from the beginning of a line.
func (p *printer) onNewLine(text []byte) {
	if p.locked && p.line != "" {
		p.waits.WriteString(p.line + "\n")
		p.line = ""
	}
	var b []byte
	if p.midLine {
		b = append(b, '\n')
	}
	b = append(b, text...)
	p.midLine = len(text) > 0 && text[len(text)-1] != '\n'
	if p.locked {
		p.waits.Write(b)
		return
	}
	// What cannot be shown is shown to nobody: the build goes on.
	_, _ = p.out.Write(b)
}

// lock leaves the terminal to a console job.
func (p *printer) lock() {
	if p.locked {
		return
	}
	p.onNewLine(nil)
	p.locked = true
}

// unlock writes what has waited.
func (p *printer) unlock() {
	if !p.locked {
		return
	}
	p.locked = false
	p.onNewLine(p.waits.Bytes())
	if p.line != "" {
		p.status(p.line)
	}
	p.waits.Reset()
	p.line = ""
}

// elided cuts the middle out of a line that is too wide.
func elided(s string, width int) string {
	const dots = "..."
	switch {
	case width <= len(dots):
		return dots[:width]
	case len(s) <= width:
		return s
	}
	keep := (width - len(dots)) / 2
	return s[:keep] + dots + s[len(s)-keep:]
}

// withoutEscapes removes the escapes with which commands colour their output.
func withoutEscapes(text []byte) []byte {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '\x1b' {
			b.WriteByte(text[i])
			continue
		}
		if i+1 >= len(text) {
			break
		}
		if text[i+1] != '[' {
			continue
		}
		i += 2
		for i < len(text) && !isLetter(text[i]) {
			i++
		}
	}
	return []byte(b.String())
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
