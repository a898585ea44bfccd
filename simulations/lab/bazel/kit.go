//go:build lab && linux

// Package bazel has a real Bazel build and test a workspace on a mesh of lab
// hosts, each of whose nodes is a server of the Remote Execution API. It is the
// Bazel that Debian and Ubuntu package, and nothing is downloaded. Start reading at
// kit and at TestBuildAndTest.
package bazel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/simulations/lab"
)

const (
	program = "/usr/bin/bazel"
	// packaged is where the distribution has the rules that Bazel would download.
	packaged = "/usr/share/bazel"
)

// kit is a Bazel that needs no network, and a workspace.
type kit struct {
	t         testing.TB
	dir       string
	workspace string
}

// newKit makes a kit in a directory.
func newKit(t testing.TB, dir string) *kit {
	t.Helper()
	for _, needed := range []string{program, packaged + "/rules/cc"} {
		if _, err := os.Stat(needed); err != nil {
			t.Fatalf("%v: `make deps-tests` installs Bazel", err)
		}
	}
	k := &kit{t: t, dir: dir, workspace: filepath.Join(dir, "workspace")}
	k.write("bazelrc", k.settings())
	k.rules()
	k.coverage()
	writeWorkspace(t, k.workspace)
	return k
}

func (k *kit) write(name, text string) {
	k.t.Helper()
	write(k.t, filepath.Join(k.dir, name), text)
}

func write(t testing.TB, name, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// rules copies the packaged rules, whose rules_cc is for a later Bazel than the
// packaged one: what that one calls use_cpp_toolchain() has no such name yet.
func (k *kit) rules() {
	k.t.Helper()
	if out, err := exec.CommandContext(context.Background(), "cp", "-rL", packaged, k.at("rules")).CombinedOutput(); err != nil {
		k.t.Fatalf("%v: %s", err, out)
	}
	for _, name := range []string{"cc_flags_supplier", "compiler_flag"} {
		file := k.at("rules/rules/cc/cc/private/rules_impl/" + name + ".bzl")
		text, err := os.ReadFile(file)
		if err != nil {
			k.t.Fatal(err)
		}
		text = bytes.ReplaceAll(text, []byte(`, "use_cpp_toolchain"`), nil)
		text = bytes.ReplaceAll(text, []byte("use_cpp_toolchain()"), []byte(`["@bazel_tools//tools/cpp:toolchain_type"]`))
		if err := os.WriteFile(file, text, 0o644); err != nil {
			k.t.Fatal(err)
		}
	}
}

// coverage makes empty programs of what each test names, and only `bazel coverage`
// runs: nobody packages it.
func (k *kit) coverage() {
	k.write("coverage/WORKSPACE", "")
	var build strings.Builder
	for _, tool := range []string{"coverage_report_generator", "lcov_merger"} {
		fmt.Fprintf(&build, "sh_binary(name = %q, srcs = [\"none.sh\"], visibility = [\"//visibility:public\"])\n", tool)
	}
	k.write("coverage/BUILD", build.String())
	k.write("coverage/none.sh", "#!/bin/sh\n")
	if err := os.Chmod(k.at("coverage/none.sh"), 0o755); err != nil {
		k.t.Fatal(err)
	}
}

// settings are what every call of Bazel has: rules from here, nothing downloaded,
// and keys of actions that do not depend on the caller's PATH.
func (k *kit) settings() string {
	var rc strings.Builder
	fmt.Fprintf(&rc, "startup --output_user_root=%s --max_idle_secs=30\n", k.at("user"))
	for repository, at := range map[string]string{
		"platforms": "rules/tools/platforms", "bazel_skylib": "rules/tools/skylib", "rules_cc": "rules/rules/cc",
		"rules_java": "rules/rules/java", "rules_proto": "rules/rules/proto", "remote_coverage_tools": "coverage",
	} {
		fmt.Fprintf(&rc, "common --override_repository=%s=%s\n", repository, k.at(at))
	}
	rc.WriteString(`common --color=no --curses=no --noshow_progress
build --experimental_repository_disable_download
build --incompatible_strict_action_env
build --symlink_prefix=/
build --nosandbox_debug
build --test_output=errors
build:mesh --spawn_strategy=remote --noremote_local_fallback --noremote_upload_local_results
build:mesh --jobs=16 --remote_timeout=600
`)
	return rc.String()
}

func (k *kit) at(name string) string { return filepath.Join(k.dir, name) }

// run is one call of Bazel.
type run struct {
	exit int
	log  string
}

// client is a Bazel with a server of its own on a host, and an output base.
type client struct {
	k    *kit
	host *lab.Host
	base string
}

// client returns a Bazel on a host that knows nothing yet, until the test ends.
func (k *kit) client(h *lab.Host, name string) *client {
	c := &client{k: k, host: h, base: filepath.Join(h.Dir, "base-"+name)}
	k.t.Cleanup(func() { _ = c.command("shutdown").Run() })
	return c
}

func (c *client) command(args ...string) *exec.Cmd {
	argv := append([]string{"env", "HOME=" + c.host.Dir, program, "--nohome_rc", "--bazelrc=" + c.k.at("bazelrc"), "--output_base=" + c.base}, args...)
	cmd := c.host.Command(argv...)
	cmd.Dir = c.k.workspace
	return cmd
}

// bazel runs Bazel to its end.
func (c *client) bazel(args ...string) run { return c.start(args...)() }

// start runs Bazel; what it returns waits for its end.
func (c *client) start(args ...string) (wait func() run) {
	c.k.t.Helper()
	cmd := c.command(args...)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		c.k.t.Fatal(err)
	}
	return func() run {
		_ = cmd.Wait()
		return run{cmd.ProcessState.ExitCode(), log.String()}
	}
}

// endpoint is where every node serves on its own host.
const endpoint = "--remote_executor=grpc://127.0.0.1:9877"

// mesh are the arguments of a build or test of everything on the mesh.
func mesh(command string, flags ...string) []string {
	return append(append([]string{command, "--config=mesh", endpoint}, flags...), "--", "//...")
}

var (
	processes = regexp.MustCompile(`INFO: \d+ process(?:es)?: (.*)\.`)
	counted   = regexp.MustCompile(`(\d+) ([a-z -]+)`)
)

// counts are the processes of a run by what Bazel calls how they ran: remote, remote
// cache hit, internal, linux-sandbox, local.
func (r run) counts() map[string]int {
	all := map[string]int{}
	lines := processes.FindAllStringSubmatch(r.log, -1)
	if len(lines) == 0 {
		return all
	}
	for _, m := range counted.FindAllStringSubmatch(lines[len(lines)-1][1], -1) {
		n, _ := strconv.Atoi(m[1])
		all[m[2]] = n
	}
	return all
}

// ended fails the test unless Bazel came to a good end, and nothing ran outside of
// the mesh.
func (r run) ended(t testing.TB) map[string]int {
	t.Helper()
	if r.exit != 0 {
		t.Fatalf("Bazel exits with %d:\n%s", r.exit, tail(r.log))
	}
	c := r.counts()
	t.Logf("%v", c)
	for how, n := range c {
		switch how {
		case "remote", "remote cache hit", "internal":
		default:
			t.Errorf("%d processes ran %s", n, how)
		}
	}
	return c
}

// tail is the end of a log.
func tail(log string) string {
	lines := strings.Split(log, "\n")
	return strings.Join(lines[max(0, len(lines)-60):], "\n")
}
