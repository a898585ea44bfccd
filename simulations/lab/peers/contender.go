//go:build lab && linux

package peers

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/buildnet/buildnet/simulations/lab"
)

// contender is a way to build on several hosts.
type contender struct {
	name string
	// launcher stands before each call of the compiler.
	launcher string
	// start runs what it needs on the hosts, whose first is the client, until they
	// are killed, and returns what the client's environment has besides.
	start func(tb testing.TB, hosts []*lab.Host) (env []string)
	// argv is what the client types.
	argv func(tb testing.TB, p project, dir string, hosts int) []string
}

// setup is how long daemons may take to be ready.
const setup = 30 * time.Second

// typed is the project's own build, of as many jobs as the hosts are worth.
func typed(launcher string, jobs func(hosts int) int) func(testing.TB, project, string, int) []string {
	return func(_ testing.TB, p project, dir string, hosts int) []string {
		return p.build(dir, launcher, jobs(hosts))
	}
}

// local is the client alone.
var local = contender{
	name:  "local",
	start: func(testing.TB, []*lab.Host) []string { return nil },
	argv:  typed("", func(int) int { return 2 }),
}

// distcc preprocesses here and compiles on the others, two jobs each, and one
// here.
var distcc = contender{
	name: "distcc", launcher: "distcc", argv: typed("distcc", func(hosts int) int { return 2 * hosts }),
	start: func(tb testing.TB, hosts []*lab.Host) []string {
		client, list := hosts[0], ""
		for _, h := range hosts[1:] {
			dir := owned(tb, h, "distccd", "distccd")
			h.Spawn("env", "TMPDIR="+dir, "distccd", "--no-detach", "--daemon",
				"--user", "distccd", "--allow", "10.0.0.0/8", "--listen", h.Addr, "--jobs", "4", "--log-file", filepath.Join(dir, "log"))
			list += h.Addr + "/2 "
		}
		for _, h := range hosts[1:] {
			answers(tb, client, h.Addr, 3632)
		}
		state := filepath.Join(client.Dir, "distcc-state")
		if err := os.MkdirAll(state, 0o755); err != nil {
			tb.Fatal(err)
		}
		return []string{"DISTCC_DIR=" + state, "DISTCC_HOSTS=" + list + "localhost/1"}
	},
}

// iceccRun is where the client of icecc looks for its daemon: each host has its
// own.
const iceccRun = "/run/icecc"

// bindIcecc is to be called once for a host.
func bindIcecc(tb testing.TB, h *lab.Host) {
	tb.Helper()
	if err := os.MkdirAll(iceccRun, 0o755); err != nil {
		tb.Fatal(err)
	}
	h.Bind(owned(tb, h, "icecc-run", "icecc"), iceccRun)
}

// icecc preprocesses here; a scheduler says where is compiled, with this
// compiler, which others get once.
var icecc = contender{
	name: "icecc", launcher: "icecc", argv: typed("icecc", func(hosts int) int { return 2*hosts + 2 }),
	start: func(tb testing.TB, hosts []*lab.Host) []string {
		client := hosts[0]
		log := filepath.Join(owned(tb, client, "icecc-scheduler", "icecc"), "log")
		client.Spawn("icecc-scheduler", "-n", "lab", "-u", "icecc", "-l", log)
		answers(tb, client, client.Addr, 8765)
		for _, h := range hosts {
			dir := owned(tb, h, "iceccd", "icecc")
			h.Spawn("iceccd", "-n", "lab", "-s", client.Addr, "-u", "icecc", "-m", "2", "-N", h.Name,
				"-b", filepath.Join(dir, "env"), "-l", filepath.Join(dir, "log"))
			answers(tb, client, h.Addr, 10245)
		}
		env := []string{"ICECC_VERSION=" + iceccEnvironment(tb, client)}
		warm(tb, client, len(hosts), env)
		return env
	},
}

// iceccEnvironment packs the compiler, once for a host.
func iceccEnvironment(tb testing.TB, h *lab.Host) string {
	tb.Helper()
	dir := filepath.Join(h.Dir, "icecc-compiler")
	if packed, _ := filepath.Glob(filepath.Join(dir, "*.tar.gz")); len(packed) == 1 {
		return packed[0]
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	plain(tb, dir, "icecc", "--build-native")
	packed, _ := filepath.Glob(filepath.Join(dir, "*.tar.gz"))
	if len(packed) != 1 {
		tb.Fatalf("icecc --build-native has made %v", packed)
	}
	return packed[0]
}

// warm has every host compile something, so that all have the compiler.
func warm(tb testing.TB, client *lab.Host, hosts int, env []string) {
	tb.Helper()
	source := filepath.Join(client.Dir, "warm.c")
	if err := os.WriteFile(source, []byte("int x;\n"), 0o644); err != nil {
		tb.Fatal(err)
	}
	script := `for round in 1 2 3; do for i in $(seq ` + strconv.Itoa(3*hosts) + `); do icecc cc -c ` + source + ` -o ` + client.Dir + `/warm$i.o & done; wait; done`
	cmd := client.Command("sh", "-c", script)
	cmd.Env = append(cmd.Env, env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("icecc's first compiles: %v: %s", err, out)
	}
}

// ours is a mesh of nodes that have seen nothing yet.
var ours = contender{
	name: "buildnet",
	argv: func(tb testing.TB, p project, dir string, _ int) []string {
		return append([]string{lab.Binary(tb), "build"}, p.ours(dir)...)
	},
	start: func(tb testing.TB, hosts []*lab.Host) []string {
		for i, h := range hosts {
			if err := os.RemoveAll(h.Home); err != nil {
				tb.Fatal(err)
			}
			if i == 0 {
				h.Up()
				continue
			}
			h.Up("--join", lab.Invite(tb, hosts[0], "--lan"))
		}
		for _, h := range hosts {
			lab.Await(tb, h, len(hosts), setup)
		}
		lab.Settle(tb, hosts)
		// What intercepts make is compiled at its first use.
		if o := hosts[0].Buildnet("build", "--", "true"); o.Exit != 0 {
			tb.Fatalf("exit status %d: %s", o.Exit, o.Stderr)
		}
		return nil
	},
}

func used(hosts []*lab.Host) (sum time.Duration) {
	for _, h := range hosts {
		sum += h.Used()
	}
	return sum
}

// owned is a directory of the host that a system user may write to.
func owned(tb testing.TB, h *lab.Host, name, login string) string {
	tb.Helper()
	dir := filepath.Join(h.Dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	u, err := user.Lookup(login)
	if err != nil {
		tb.Fatalf("%v: run .ci/deps --peers", err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	if err := os.Chown(dir, uid, gid); err != nil {
		tb.Fatal(err)
	}
	return dir
}

// answers waits until something listens, as the client sees it.
func answers(tb testing.TB, client *lab.Host, addr string, port int) {
	tb.Helper()
	script := fmt.Sprintf("until (exec 3<>/dev/tcp/%s/%d) 2>/dev/null; do read -t 0.1 <> <(:) || :; done", addr, port)
	cmd := client.Command("timeout", strconv.Itoa(int(setup.Seconds())), "bash", "-c", script)
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("nothing answers at %s:%d: %v: %s", addr, port, err, out)
	}
}
