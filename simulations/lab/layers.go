//go:build lab && linux

package lab

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Layers is a project of steps that wait and make some kilobytes. Each reads a
// source and what two steps of the layer before made; one more joins the last
// layer. So a death anywhere in it may lose what others need.
type Layers struct {
	// Tag is in every file: projects with different tags share no action.
	Tag         string
	Deep, Broad int
	// Step is how long each step waits.
	Step time.Duration
}

// Steps is how many steps the project has.
func (p Layers) Steps() int { return p.Deep*p.Broad + 1 }

// In writes the project to a directory of the host, which it returns.
func (p Layers) In(t *testing.T, h *Host) string {
	t.Helper()
	var config strings.Builder
	fmt.Fprintf(&config, "version: 1\npackages:\n  - name: layers\n    tools: [sh, sleep, cat, seq]\n    steps:\n")
	files := map[string]string{}
	for i := range p.Broad {
		files[p.source(i)] = fmt.Sprintf("%s %d\n", p.Tag, i)
	}
	for layer := range p.Deep {
		for i := range p.Broad {
			reads := []string{p.source(i)}
			if layer > 0 {
				reads = append(reads, p.output(layer-1, i), p.output(layer-1, (i+1)%p.Broad))
			}
			p.step(&config, reads, p.output(layer, i))
		}
	}
	var last []string
	for i := range p.Broad {
		last = append(last, p.output(p.Deep-1, i))
	}
	p.step(&config, last, "all.txt")
	files[".buildnet/config.yaml"] = config.String()
	dir := filepath.Join(h.Dir, p.Tag)
	WriteTree(t, dir, files)
	return dir
}

func (p Layers) step(config *strings.Builder, reads []string, makes string) {
	fmt.Fprintf(config, "      - run: \"sleep %.2f; { cat %s; seq 2000; } > %s\"\n        inputs: [%s]\n        outputs: [%s]\n",
		p.Step.Seconds(), strings.Join(reads, " "), makes, strings.Join(reads, ", "), makes)
}

func (p Layers) source(i int) string { return fmt.Sprintf("src/%02d.in", i) }

func (p Layers) output(layer, i int) string { return fmt.Sprintf("out/%d-%02d.txt", layer, i) }
