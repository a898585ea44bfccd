//go:build lab && linux

package clients

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/simulations/lab"
)

// testSiso builds a build.ninja with siso, and with ninja to compare.
func testSiso(t *testing.T, g *ground) {
	program := brought(t, "siso")
	workspace := func(h *lab.Host) (dir string) {
		dir = filepath.Join(h.Dir, "siso")
		for name, text := range sisoWorkspace() {
			write(t, filepath.Join(dir, name), text)
		}
		if err := os.Chmod(filepath.Join(dir, "helper/luci-auth"), 0o755); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	do := func(h *lab.Host, targets ...string) output {
		dir := workspace(h)
		path := "PATH=" + filepath.Join(dir, "helper") + ":" + os.Getenv("PATH")
		argv := []string{program, "-C", "out", "-project", "buildnet", "-reapi_instance", "main", "-reapi_address", server, "-reapi_insecure"}
		return run(t, h, dir, []string{path}, append(argv, targets...)...)
	}
	made := func(h *lab.Host) map[string]string {
		return files(t, filepath.Join(h.Dir, "siso/out"), func(name string) bool {
			return name != "." && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "siso"))
		})
	}
	alone := g.Hosts[2]
	run(t, alone, filepath.Join(workspace(alone), "out"), nil, "ninja", "all").ok(t)
	want := made(alone)
	do(g.Hosts[0], "all").ok(t)
	g.spread(t, 2*rules)
	same(t, 2*rules, made(g.Hosts[0]), want)
	do(g.Hosts[1], "all").ok(t)
	g.cached(t)
	same(t, 2*rules, made(g.Hosts[1]), want)
	do(g.Hosts[0], "exits").failed(t, "this is why")
	do(g.Hosts[0], "property").failed(t, "gpu", "leave the property out")
}

// sisoWorkspace are the files of a workspace: what siso runs elsewhere its
// configuration says. Before it takes an instance it wants somebody to vouch for its
// user, whom an insecure server does not ask.
func sisoWorkspace() map[string]string {
	var build strings.Builder
	var all []string
	for i := range rules {
		fmt.Fprintf(&build, "build a%d.txt: gen ../in.txt\nbuild b%d.txt: gen a%d.txt\nbuild m%d.o: cc ../m.c\n  n = %d\n", i, i, i, i, i)
		all = append(all, fmt.Sprintf("b%d.txt m%d.o", i, i))
	}
	return map[string]string{
		"in.txt": "hello\n", "m.c": "int number(void) { return N; }\n",
		"build/config/siso/main.star": sisoConfig,
		"helper/luci-auth":            "#!/bin/sh\necho '{\"headers\": {\"Authorization\": \"Bearer none\"}, \"expires\": \"2099-01-01T00:00:00Z\"}'\n",
		"out/build.ninja":             sisoRules + build.String() + "build all: phony " + strings.Join(all, " ") + "\nbuild exits: exits\nbuild property: property\n",
	}
}

const sisoRules = `rule gen
  command = sleep 0.3; cat $in >$out; echo $out >>$out
rule cc
  command = gcc -DN=$n -c $in -o $out
rule exits
  command = echo this is why >&2; exit 3
rule property
  command = touch property
`

const sisoConfig = `load("@builtin//encoding.star", "json")
load("@builtin//struct.star", "module")

def init(ctx):
    rules = [{"name": name, "action": name, "remote": True, "platform_ref": "default"} for name in ["gen", "cc", "exits"]]
    rules.append({"name": "property", "action": "property", "remote": True, "platform_ref": "large"})
    return module("config", step_config = json.encode({
        "platforms": {
            "default": {"OSFamily": "Linux", "container-image": "none"},
            "large": {"container-image": "none", "gpu": "h100"},
        },
        "rules": rules,
    }), filegroups = {}, handlers = {})
`
