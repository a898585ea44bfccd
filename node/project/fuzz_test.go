package project_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/buildnet/buildnet/node/project"
	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store/digest"
)

// checkValid makes the action graph of a plan, which checks the order of
// steps, their names, outputs and edges.
func checkValid(t interface{ Fatalf(string, ...any) }, p *project.Plan) {
	inputs := digest.Of(digest.BLAKE3, nil)
	var steps []action.Step
	for _, s := range p.Steps {
		if !slices.IsSorted(s.Sources) || !slices.IsSortedFunc(s.Deps, func(a, b action.Dep) int { return strings.Compare(string(a.Step), string(b.Step)) }) {
			t.Fatalf("step %s is not sorted: %+v", s.ID, s)
		}
		steps = append(steps, action.Step{
			ID: s.ID, Package: s.Package, Argv: s.Argv, Env: s.Env, Dir: s.Dir, Outputs: s.Outputs, Inputs: inputs,
			Deps: s.Deps, Platform: s.Platform, Timeout: s.Timeout, Reach: action.Anywhere, Sharing: action.Shared,
		})
	}
	g, err := action.NewGraph(steps)
	if err != nil {
		t.Fatalf("the plan is no graph: %v", err)
	}
	if _, err := g.Marshal(); err != nil {
		t.Fatalf("the graph cannot be sent: %v", err)
	}
}

func FuzzParseAndPlan(f *testing.F) {
	f.Add("config.yaml", chain, "base/x app/y")
	f.Add("config.yaml", one("    steps: [{foreach: '**/*.c', run: 'cc {in} {outputs}', inputs: ['{dir}/*.h'], outputs: ['o/{stem}{ext}.o']}]\n"), "a.c b/c.c b/c.h l->b")
	f.Add("config.yaml", "version: 1\npackages: &a [{name: a, build_cmd: x, <<: {path: p}}]\nenv: *a\n", "")
	f.Add("config.json", `{"version": 1, "packages": [{"name": "a", "build_cmd": ["x", "{outputs:/**}"], "output_dir": "d"}]}`, "d/x y")
	f.Fuzz(func(t *testing.T, name, src, files string) {
		c, err := project.Parse(name, []byte(src))
		if c == nil {
			if err == nil || err.Error() == "" {
				t.Fatal("neither a configuration nor a fault")
			}
			return
		}
		var all []project.File
		for _, n := range strings.Fields(files) {
			path, link, _ := strings.Cut(n, "->")
			all = append(all, project.File{Path: path, Link: link})
		}
		p, planErr := c.Plan(all)
		if err != nil && planErr == nil {
			t.Fatal("Plan forgot the faults of Parse")
		}
		if planErr == nil {
			checkValid(t, p)
			if _, err := p.Select(nil); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// drawn is a configuration of packages in a row, and files for it.
func drawn(t *rapid.T) (string, []project.File) {
	var config strings.Builder
	config.WriteString("version: 1\npackages:\n")
	var files []project.File
	for i := range rapid.IntRange(1, 4).Draw(t, "packages") {
		fmt.Fprintf(&config, "  - name: p%d\n    path: p%d\n", i, i)
		if i > 0 && rapid.Bool().Draw(t, "depends") {
			fmt.Fprintf(&config, "    dependencies: [p%d]\n", rapid.IntRange(0, i-1).Draw(t, "on"))
		}
		if rapid.Bool().Draw(t, "narrows") {
			config.WriteString("    outputs: [lib.a]\n")
		}
		config.WriteString("    steps:\n      - {foreach: '**/*.c', run: [cc, '{in}'], inputs: ['**/*.h'], outputs: ['obj/{dir}/{stem}.o']}\n")
		config.WriteString("      - {run: [ar, '{outputs:obj/**/*.o}'], outputs: [lib.a]}\n")
		names := rapid.SliceOfNDistinct(rapid.StringMatching(`([ab]/)?[a-f]`), 1, 8, rapid.ID[string]).Draw(t, "names")
		for _, n := range names {
			files = append(files, project.File{Path: fmt.Sprintf("p%d/%s.c", i, n)}, project.File{Path: fmt.Sprintf("p%d/%s.h", i, n)})
		}
	}
	return config.String(), files
}

func TestPlansDoNotDependOnTheOrderOfFiles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		config, files := drawn(t)
		c, err := project.Parse("config.yaml", []byte(config))
		if err != nil {
			t.Fatal(err)
		}
		want, err := c.Plan(files)
		if err != nil {
			t.Fatal(err)
		}
		checkValid(t, want)
		got, err := c.Plan(rapid.Permutation(files).Draw(t, "order"))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestPlansDoNotDependOnOutputsThatLieOnDisk(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		config, files := drawn(t)
		c, err := project.Parse("config.yaml", []byte(config))
		if err != nil {
			t.Fatal(err)
		}
		want, err := c.Plan(files)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range want.Steps {
			for _, o := range s.Outputs {
				if rapid.Bool().Draw(t, "on disk") {
					files = append(files, project.File{Path: o})
				}
			}
		}
		got, err := c.Plan(files)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

// BenchmarkPlan lays 10,000 steps over 10,000 files, by one foreach and as
// 10,000 steps that were written out.
func BenchmarkPlan(b *testing.B) {
	var files []project.File
	for i := range 10_000 {
		files = append(files, project.File{Path: fmt.Sprintf("src/m%d/f%d.c", i/100, i)})
	}
	for i := range 200 {
		files = append(files, project.File{Path: fmt.Sprintf("include/h%d.h", i)})
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(files), func(i, j int) { files[i], files[j] = files[j], files[i] })
	var written strings.Builder
	written.WriteString("    steps:\n")
	for i := range 10_000 {
		fmt.Fprintf(&written, "      - {run: [cc, -c, src/m%d/f%d.c], inputs: [src/m%d/f%d.c, 'include/**/*.h'], outputs: [obj/f%d.o]}\n", i/100, i, i/100, i, i)
	}
	const link = "      - {run: [ar, '{outputs:obj/*.o}'], outputs: [lib.a]}\n"
	for name, config := range map[string]string{
		"Foreach":       one("    steps:\n      - {foreach: 'src/**/*.c', run: [cc, '{in}'], inputs: ['include/**/*.h'], outputs: ['obj/{stem}.o']}\n" + link),
		"ForeachInputs": one("    steps:\n      - {foreach: 'src/**/*.c', run: [cc, '{in}'], inputs: ['{dir}/*.c', 'include/**/*.h'], outputs: ['obj/{stem}.o']}\n" + link),
		"Written":       one(written.String() + link),
	} {
		b.Run(name, func(b *testing.B) {
			c, err := project.Parse("config.yaml", []byte(config))
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := c.Plan(files); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("Parse"+name, func(b *testing.B) {
			for b.Loop() {
				if _, err := project.Parse("config.yaml", []byte(config)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
