//go:build lab && linux

package bazel

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/buildnet/buildnet/simulations/lab"
)

// genrules is how many actions the workspace has in which nothing takes time but what
// is around them.
const genrules = 600

// BenchmarkBazel takes the time of builds by Bazel on a node of one machine, cold and
// with all results known, and of Bazel by itself, by turns. The clock runs from the
// end of Bazel's analysis.
func BenchmarkBazel(b *testing.B) {
	lab.NeedQuota(b)
	table := lab.Table{{"workspace", "with", "wall, s", "processes"}}
	for _, w := range []struct {
		name  string
		write func(*kit)
		flags []string
	}{
		{"600 genrules", writeGenrules, []string{"--jobs=32"}},
		{"mill", func(*kit) {}, nil},
	} {
		h := lab.New(b).Host(2)
		k := newKit(b, filepath.Join(h.Dir, "kit"))
		w.write(k)
		h.Up()
		onNode := append([]string{"--config=mesh", endpoint}, w.flags...)
		for _, how := range []struct {
			name  string
			flags []string
		}{
			{"one node, cold", onNode},
			{"one node, all cached", onNode},
			{"Bazel alone, no sandbox", append([]string{"--spawn_strategy=local"}, w.flags...)},
			{"Bazel alone, in its sandbox", append([]string{"--spawn_strategy=linux-sandbox,local"}, w.flags...)},
		} {
			c := k.client(h, strings.NewReplacer(" ", "-", ",", "").Replace(how.name))
			if r := c.bazel(append(append([]string{"build", "--nobuild"}, how.flags...), "//...")...); r.exit != 0 {
				b.Fatal(tail(r.log))
			}
			began := time.Now()
			r := c.bazel(append(append([]string{"build"}, how.flags...), "//...")...)
			took := time.Since(began)
			if r.exit != 0 {
				b.Fatal(tail(r.log))
			}
			_ = c.command("shutdown").Run()
			table.Add(b, w.name, how.name, fmt.Sprintf("%.1f", took.Seconds()), fmt.Sprint(r.counts()))
		}
	}
	fmt.Println("\n" + table.Markdown())
}

// writeGenrules has a workspace of actions that print a word.
func writeGenrules(k *kit) {
	k.workspace = k.at("genrules")
	k.write("genrules/WORKSPACE", "")
	k.write("genrules/BUILD", fmt.Sprintf(
		"[genrule(name = \"word%%d\" %% i, outs = [\"word%%d.txt\" %% i], cmd = \"echo %%d >$@\" %% i) for i in range(%d)]\n", genrules))
}
