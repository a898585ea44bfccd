//go:build lab && linux

package clients

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/buildnet/buildnet/simulations/lab"
)

// testReclient has rewrapper before commands, and reproxy behind it.
func testReclient(t *testing.T, g *ground) {
	rewrapper, reproxy := brought(t, "rewrapper"), brought(t, "reproxy")
	brought(t, "scandeps_server")
	root := func(h *lab.Host) string { return filepath.Join(h.Dir, "re/work") }
	for _, h := range g.Hosts {
		write(t, root(h)+"/in.txt", "hello\n")
		write(t, root(h)+"/m.c", "#include \"m.h\"\nint number(void) { return N; }\n")
		write(t, root(h)+"/m.h", "#define N 7\n")
		write(t, filepath.Join(h.Dir, "re/log/none"), "")
	}
	for _, h := range g.Hosts[:2] {
		proxy := h.Spawn(append(append([]string{"env", "HOME=" + h.Dir}, reclientEnv(h)...), reproxy)...)
		defer func() { proxy.Kill(); proxy.Wait() }()
	}
	do := func(h *lab.Host, flag []string, argv ...string) output {
		wrapped := append([]string{rewrapper, "--exec_root=" + root(h), "--exec_strategy=remote"}, flag...)
		return run(t, h, root(h), reclientEnv(h), append(append(wrapped, "--"), argv...)...)
	}
	tool := []string{"--labels=type=tool", "--inputs=in.txt", "--platform=OSFamily=Linux,container-image=docker://none"}
	compiler := []string{"--labels=type=compile,compiler=clang,lang=cpp", "--platform=OSFamily=Linux"}
	compile := []string{"/usr/bin/gcc", "-c", "m.c", "-o", "m.o"}
	script := func(i int) []string {
		return []string{"/bin/sh", "-c", fmt.Sprintf("sleep 0.3; cat in.txt in.txt >out%d.txt; mkdir -p d%d/e; cp in.txt d%d/e", i, i, i)}
	}
	build := func(h *lab.Host) {
		var all sync.WaitGroup
		for i := range rules {
			flag := append([]string{fmt.Sprintf("--output_files=out%d.txt", i), fmt.Sprintf("--output_directories=d%d", i)}, tool...)
			all.Go(func() {
				if o := do(h, flag, script(i)...); o.exit != 0 {
					t.Errorf("exit status %d:\n%s", o.exit, o.text)
				}
			})
		}
		do(h, compiler, compile...).ok(t)
		all.Wait()
	}

	alone := g.Hosts[2]
	for i := range rules {
		run(t, alone, root(alone), nil, script(i)...).ok(t)
	}
	run(t, alone, root(alone), nil, compile...).ok(t)
	made := func(h *lab.Host) map[string]string {
		return files(t, root(h), func(name string) bool { return name == ".reproxy_tmp" })
	}
	want := made(alone)
	build(g.Hosts[0])
	g.spread(t, rules+1)
	same(t, 4*rules, made(g.Hosts[0]), want)
	build(g.Hosts[1])
	g.cached(t)
	same(t, 4*rules, made(g.Hosts[1]), want)

	if o := do(g.Hosts[0], tool, "/bin/sh", "-c", "echo this is why >&2; exit 3"); o.exit != 3 {
		t.Errorf("exit status %d, want 3:\n%s", o.exit, o.text)
	} else {
		o.says(t, "this is why")
	}
	do(g.Hosts[0], append(tool, "--exec_timeout=1s"), "/bin/sh", "-c", "sleep 60").failed(t, "time limit of 1s")
	do(g.Hosts[0], append(tool, "--platform=gpu=h100"), "/bin/true").failed(t, `gpu="h100"`, "leave the property out")
}

// reclientEnv is the environment of both programs on a host.
func reclientEnv(h *lab.Host) []string {
	dir := filepath.Join(h.Dir, "re")
	return []string{
		"RBE_service=" + server, "RBE_service_no_security=true", "RBE_service_no_auth=true", "RBE_instance=main",
		"RBE_server_address=unix://" + dir + "/s", "RBE_log_dir=" + dir + "/log", "RBE_cache_dir=" + dir,
	}
}
