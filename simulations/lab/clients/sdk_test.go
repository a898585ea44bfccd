//go:build lab && linux

package clients

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/simulations/lab"
)

// testSDK has the library that reclient and please are made with, and its two tools.
func testSDK(t *testing.T, g *ground) {
	tools := sdk(t)
	for _, part := range []struct {
		name string
		test func(t *testing.T, g *ground, tools string)
	}{{"library", library}, {"rexec", rexec}, {"remotetool", remotetool}} {
		t.Run(part.name, func(t *testing.T) { part.test(t, g, tools) })
	}
}

// library moves blobs in every way that there is, and reads from another node what was
// made of them.
func library(t *testing.T, g *ground, tools string) {
	for i, side := range []string{"upload", "download"} {
		o := run(t, g.Hosts[i], g.Hosts[i].Dir, nil, tools+"/sdk", side, server, "sdk").ok(t)
		if n := strings.Count(o.text, "blobs: "); n != 6 {
			t.Errorf("%d ways:\n%s", n, o.text)
		}
		if _, n := g.Executed(); n != 6*(1-i) {
			t.Errorf("%s: %d executions", side, n)
		}
	}
}

// flags are those of both tools.
var flags = []string{"--service", server, "--service_no_security", "--instance", "main"}

// rexec runs one command after the other.
func rexec(t *testing.T, g *ground, tools string) {
	inputs := func(h *lab.Host) (root string) {
		root = filepath.Join(h.Dir, "rexec")
		write(t, filepath.Join(root, "in/a.txt"), "hello\n")
		return root
	}
	do := func(h *lab.Host, flag []string, script string) output {
		root := inputs(h)
		argv := append(append([]string{tools + "/rexec", "--exec_root", root, "--inputs", "in"}, flags...), flag...)
		return run(t, h, root, nil, append(argv, "--", "/bin/sh", "-c", script)...).ok(t)
	}
	const script = `cat in/a.txt in/a.txt >twice && mkdir -p out/d/empty && cp in/a.txt out/d && chmod 555 out/d/a.txt && ln -s d/a.txt out/l && echo said && echo warned >&2`
	outputs := []string{"--output_files", "twice", "--output_directories", "out"}

	alone := inputs(g.Hosts[2])
	run(t, g.Hosts[2], alone, nil, "/bin/sh", "-c", script).ok(t)
	want := files(t, alone, none)
	do(g.Hosts[0], outputs, script).says(t, "said\n", "warned\n")
	same(t, 8, files(t, filepath.Join(g.Hosts[0].Dir, "rexec"), none), want)
	if _, n := g.Executed(); n != 1 {
		t.Errorf("%d executions", n)
	}
	do(g.Hosts[1], outputs, script).says(t, "said\n", "warned\n")
	same(t, 8, files(t, filepath.Join(g.Hosts[1].Dir, "rexec"), none), want)
	g.cached(t)
	do(g.Hosts[1], append(outputs, "--accept_cached=false"), script)
	if _, n := g.Executed(); n != 1 {
		t.Errorf("%d executions of what was to be executed again", n)
	}

	// rexec itself ends well whatever comes of it.
	do(g.Hosts[0], nil, "echo why >&2; exit 7").says(t, "why", "exit code 7")
	do(g.Hosts[0], []string{"--exec_timeout", "1s"}, "echo before; sleep 60").says(t, "before", "TIMED OUT after 1")
	do(g.Hosts[0], []string{"--platform", "gpu=h100"}, "true").says(t, "FailedPrecondition", `gpu="h100"`, "leave the property out")
	do(g.Hosts[0], []string{"--platform", "OSFamily=Windows"}, "true").says(t, "FailedPrecondition", `OSFamily="Windows"`, "linux")
	do(g.Hosts[0], []string{"--platform", "OSFamily=Linux,container-image=docker://image"}, "echo ran").says(t, "ran")
	do(g.Hosts[0], []string{"--output_files", "never"}, "echo ran").says(t, "ran")
}

func none(string) bool { return false }

var digestOf = regexp.MustCompile(`"Hash": "([0-9a-f]{64})",\s+"Size": (\d+)`)

// remotetool uploads and downloads, and executes what it is given as text.
func remotetool(t *testing.T, g *ground, tools string) {
	do := func(h *lab.Host, flag ...string) output {
		return run(t, h, h.Dir, nil, append(append([]string{tools + "/remotetool"}, flags...), flag...)...)
	}
	one := g.Hosts[0]
	dir := filepath.Join(one.Dir, "tree")
	write(t, dir+"/a", "one\n")
	write(t, dir+"/d/b", strings.Repeat("two\n", 2<<20)) // more than a batch
	said := do(one, "--operation", "upload_dir", "--path", dir, "--json", "-").ok(t)
	m := digestOf.FindStringSubmatch(said.text)
	if m == nil {
		t.Fatalf("no digest:\n%s", said.text)
	}
	back := filepath.Join(one.Dir, "back")
	do(one, "--operation", "download_dir", "--digest", m[1]+"/"+m[2], "--path", back).ok(t)
	same(t, 4, files(t, back, none), files(t, dir, none))

	write(t, one.Dir+"/blob", strings.Repeat("three\n", 1<<20))
	for _, upload := range []string{"upload_blob", "upload_blob_v2"} {
		do(one, "--operation", upload, "--path", one.Dir+"/blob", "--digest", "is not read").ok(t)
	}
	action := filepath.Join(one.Dir, "action")
	write(t, action+"/input/in", "in\n")
	write(t, action+"/ac.textproto", "timeout { seconds: 60 }\n")
	write(t, action+"/cmd.textproto", `arguments: "/bin/sh" arguments: "-c" arguments: "cat in in >out && mkdir -p d && cp in d"
output_files: "out" output_directories: "d" platform { properties { name: "OSFamily" value: "linux" } properties { name: "container-image" value: "none" } }
`)
	made := filepath.Join(one.Dir, "made")
	o := do(one, "--operation", "execute_action", "--action_root", action, "--path", made).ok(t)
	o.says(t, "SuccessResultStatus")
	want := map[string]string{".": "directory", "d": "directory", "d/in": "file in\n", "out": "file in\nin\n"}
	same(t, 4, files(t, made, none), want)
	key := regexp.MustCompile(`Action digest: (\S+)`).FindStringSubmatch(o.text)
	if key == nil {
		t.Fatalf("no digest:\n%s", o.text)
	}
	g.Executed()
	result := filepath.Join(one.Dir, "result")
	do(one, "--operation", "download_action_result", "--digest", key[1], "--path", result).ok(t)
	same(t, 4, files(t, result, func(name string) bool { return name == "stdout" || name == "stderr" }), want)
	for _, h := range g.Hosts { // two of which nobody has given the action to
		do(h, "--operation", "show_action", "--digest", key[1]).ok(t).says(t, "OSFamily", "out")
	}
	do(one, "--operation", "download_action", "--digest", key[1], "--path", filepath.Join(one.Dir, "again")).ok(t)
	g.cached(t)
	do(one, "--operation", "check_determinism", "--digest", key[1], "--exec_attempts", "3").ok(t)
	if _, n := g.Executed(); n != 3 {
		t.Errorf("%d executions, want 3", n)
	}
	do(one, "--operation", "show_action", "--digest", fmt.Sprintf("%064d/142", 7)).failed(t, "NotFound")
}
