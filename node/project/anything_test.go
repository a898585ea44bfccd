package project_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/buildnet/buildnet/node/project"
)

// anything is a configuration out of few names, so that its globs, outputs
// and links meet each other in all ways.
func anything(t *rapid.T) string {
	globs := rapid.SampledFrom([]string{"**", "*", "a/*", "b/**", "/p0/**", "/p1/a/*", "**/x", "x", "a/x", "/p0/x.o", "o/*", "o/x", "!b/**", "!**/y"})
	eachGlobs := rapid.SampledFrom([]string{"**", "a/*", "{dir}/*", "{in}", "o/*", "!b/**"})
	outputs := rapid.SampledFrom([]string{"new#", "o/new#", "gen/#", "x#", "o", "b"})
	eachOutputs := rapid.SampledFrom([]string{"o/{in}.#", "{in}.o#", "gen/{dir}/{stem}{ext}.#", "gen/{in}#", "a/{stem}#"})
	words := rapid.SampledFrom([]string{"cc", "ld", "-o", "{outputs}", "{outputs:**}", "{outputs:/p0/*}"})
	eachWords := rapid.SampledFrom([]string{"cc", "{in}", "-I{dir}", "{outputs}", "{outputs:gen/*}"})
	quoted := func(g *rapid.Generator[string], most int, name string) string {
		return "['" + strings.Join(rapid.SliceOfN(g, 1, most).Draw(t, name), "', '") + "']"
	}
	var b strings.Builder
	b.WriteString("version: 1\npackages:\n")
	for i := range rapid.IntRange(1, 3).Draw(t, "packages") {
		fmt.Fprintf(&b, "  - name: p%d\n", i)
		if rapid.IntRange(0, 3).Draw(t, "path") > 0 {
			fmt.Fprintf(&b, "    path: p%d\n", i)
		}
		if rapid.Bool().Draw(t, "depends") {
			fmt.Fprintf(&b, "    dependencies: [p%d]\n", rapid.IntRange(0, 2).Draw(t, "on"))
		}
		if rapid.IntRange(0, 3).Draw(t, "sources") == 0 {
			fmt.Fprintf(&b, "    sources: %s\n", quoted(globs, 2, "source"))
		}
		if rapid.IntRange(0, 3).Draw(t, "output_dir") == 0 {
			b.WriteString("    output_dir: o\n")
		}
		if rapid.IntRange(0, 3).Draw(t, "build_cmd") == 0 {
			fmt.Fprintf(&b, "    build_cmd: %s\n", strings.Replace(quoted(words, 2, "word"), "[", "[cc, ", 1))
			continue
		}
		b.WriteString("    steps:\n")
		for number := range rapid.IntRange(1, 3).Draw(t, "steps") {
			words, globs, outputs := words, globs, outputs
			b.WriteString("      - timeout: 1m\n")
			if rapid.Bool().Draw(t, "foreach") {
				words, globs, outputs = eachWords, eachGlobs, eachOutputs
				fmt.Fprintf(&b, "        foreach: %s\n", quoted(rapid.SampledFrom([]string{"**", "*", "a/*", "/p0/**", "gen/*"}), 1, "each"))
			}
			fmt.Fprintf(&b, "        run: %s\n", strings.Replace(quoted(words, 2, "word"), "[", "[cc, ", 1))
			if rapid.Bool().Draw(t, "inputs") {
				fmt.Fprintf(&b, "        inputs: %s\n", quoted(globs, 2, "input"))
			}
			if rapid.IntRange(0, 4).Draw(t, "outputs") > 0 {
				fmt.Fprintf(&b, "        outputs: %s\n", strings.ReplaceAll(quoted(outputs, 1, "output"), "#", fmt.Sprint(number)))
			}
		}
	}
	return b.String()
}

func anyFiles(t *rapid.T) []project.File {
	names := rapid.SliceOfDistinct(rapid.StringMatching(`(p[012]/)?([abo]/)?[xyz](\.h)?`), rapid.ID[string]).Draw(t, "files")
	files := filesOf("p0/a/1", "p0/b/2", "p0/3", "p1/a/1", "p1/b/2", "p1/3", "p2/a/1", "p2/b/2", "p2/3")
	for _, n := range names {
		files = append(files, project.File{Path: n, Link: rapid.SampledFrom([]string{"", "", "", "", "", "", "x", "a", "../x"}).Draw(t, "link")})
	}
	return files
}

func TestAnythingIsEitherAValidPlanOrFaults(t *testing.T) {
	planned := 0
	rapid.Check(t, func(t *rapid.T) {
		config, files := anything(t), anyFiles(t)
		c, _ := project.Parse("config.yaml", []byte(config))
		c.Limit(500, 10_000, 10_000) // some never end
		want, wantErr := c.Plan(files)
		if wantErr == nil {
			planned++
			checkValid(t, want)
		}
		got, err := c.Plan(rapid.Permutation(files).Draw(t, "order"))
		if diff := cmp.Diff(want, got); diff != "" || fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Fatalf("another order of files makes %v, not %v: %s", err, wantErr, diff)
		}
	})
	t.Logf("%d were planned", planned)
}

func TestAnyPlanIsTheSameOnATreeThatWasBuilt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		config, files := anything(t), anyFiles(t)
		c, _ := project.Parse("config.yaml", []byte(config))
		c.Limit(500, 10_000, 10_000) // some never end
		want, err := c.Plan(files)
		if err != nil {
			return
		}
		there := map[string]bool{}
		for _, f := range files {
			there[f.Path] = true
		}
		for _, s := range want.Steps {
			for _, o := range s.Outputs {
				if !there[o] {
					files = append(files, project.File{Path: o})
				}
			}
		}
		got, err := c.Plan(files)
		if err != nil {
			t.Fatalf("%v\n%s%v", err, config, files)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s\n%s%v", diff, config, files)
		}
	})
}
