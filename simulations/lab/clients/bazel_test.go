//go:build lab && linux

package clients

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/simulations/lab"
)

// testOldBazel has a Bazel of 2020 build. It knows no output_paths, no compression and
// no BLAKE3.
func testOldBazel(t *testing.T, g *ground) {
	program := oldBazel(t)
	do := func(h *lab.Host, base string, args ...string) output {
		dir := filepath.Join(h.Dir, "bazel")
		for name, text := range bazelWorkspace() {
			write(t, filepath.Join(dir, "ws", name), text)
		}
		argv := []string{program, "--output_user_root=" + dir + "/user", "--output_base=" + dir + "/" + base, "--max_idle_secs=60", "--nohome_rc"}
		return run(t, h, dir+"/ws", nil, append(argv, args...)...)
	}
	remote := func(h *lab.Host, base, target string, more ...string) output {
		args := append([]string{"build", "--color=no", "--curses=no", "--noshow_progress", "--symlink_prefix=/", "--jobs=16",
			"--remote_executor=grpc://" + server, "--spawn_strategy=remote", "--noremote_local_fallback"}, more...)
		return do(h, base, append(args, target)...)
	}
	for _, h := range g.Hosts[:2] {
		defer do(h, "base", "shutdown")
	}
	remote(g.Hosts[0], "base", "//:all").ok(t).says(t, fmt.Sprintf("%d processes: %d remote.", 2*rules+1, 2*rules+1))
	g.spread(t, 2*rules+1)
	remote(g.Hosts[1], "base", "//:all").ok(t).says(t, fmt.Sprintf("%d processes: %d remote cache hit.", 2*rules+1, 2*rules+1))
	g.cached(t)
	for _, h := range g.Hosts[:2] {
		bins, err := filepath.Glob(filepath.Join(h.Dir, "bazel/base/execroot/*/bazel-out/*/bin"))
		if err != nil || len(bins) == 0 {
			t.Fatalf("nothing was built: %v", err)
		}
		same(t, 2*rules, files(t, bins[0], func(name string) bool { return strings.HasPrefix(filepath.Base(name), "_") }), bazelMade())
	}
	remote(g.Hosts[0], "base", "//bad:exits").failed(t, "this is why", "//bad:exits")
	remote(g.Hosts[0], "base", "//bad:works", "--remote_default_platform_properties=properties: { name: \"gpu\" value: \"h100\" }").
		failed(t, `gpu="h100"`, "leave the property out")
}

func bazelWorkspace() map[string]string {
	var build strings.Builder
	for i := range rules {
		fmt.Fprintf(&build, "genrule(name=\"a%d\", srcs=[\"in.txt\"], outs=[\"a%d.txt\"], cmd=\"sleep 0.3; cat $< >$@; echo %d >>$@\")\n", i, i, i)
		fmt.Fprintf(&build, "genrule(name=\"b%d\", srcs=[\"a%d.txt\"], outs=[\"b%d.txt\"], cmd=\"sleep 0.3; cat $< $< >$@\")\n", i, i, i)
	}
	build.WriteString("genrule(name=\"link\", outs=[\"t.txt\", \"l.txt\"], cmd=\"echo t >$(RULEDIR)/t.txt; ln -s t.txt $(RULEDIR)/l.txt\")\n")
	return map[string]string{
		"WORKSPACE": "", "in.txt": "hello\n", "BUILD": build.String(),
		"bad/BUILD": "genrule(name=\"exits\", outs=[\"e\"], cmd=\"echo this is why >&2; exit 3\")\ngenrule(name=\"works\", outs=[\"w\"], cmd=\"touch $@\")\n",
	}
}

// bazelMade is what comes of that.
func bazelMade() map[string]string {
	made := map[string]string{".": "directory", "t.txt": "file t\n", "l.txt": "link to t.txt"}
	for i := range rules {
		a := fmt.Sprintf("hello\n%d\n", i)
		made[fmt.Sprintf("a%d.txt", i)], made[fmt.Sprintf("b%d.txt", i)] = "file "+a, "file "+a+a
	}
	return made
}
