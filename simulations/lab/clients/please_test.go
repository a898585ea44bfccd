//go:build lab && linux

package clients

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/simulations/lab"
)

// rules is how many targets of one kind a workspace has: enough for several nodes.
const rules = 12

// testPlease builds and tests a workspace of please's.
func testPlease(t *testing.T, g *ground) {
	program := brought(t, "please")
	workspace := func(h *lab.Host, remote bool) (dir string) {
		dir = filepath.Join(h.Dir, fmt.Sprintf("please-%v", remote))
		for name, text := range pleaseWorkspace(remote) {
			write(t, filepath.Join(dir, name), text)
		}
		return dir
	}
	do := func(h *lab.Host, remote bool, args ...string) output {
		return run(t, h, workspace(h, remote), nil, append([]string{program}, args...)...)
	}
	made := func(h *lab.Host, remote bool) map[string]string {
		return files(t, filepath.Join(workspace(h, remote), "plz-out/gen"), func(name string) bool {
			return strings.HasPrefix(filepath.Base(name), ".") && name != "."
		})
	}
	do(g.Hosts[2], false, "build", "-p", "//:all").ok(t)
	want := made(g.Hosts[2], false)
	for i, host := range g.Hosts[:2] {
		do(host, true, "build", "-p", "--download", "//:all").ok(t)
		same(t, 2*rules, made(host, true), want)
		if i == 0 {
			g.spread(t, 2*rules)
		} else {
			g.cached(t)
		}
	}
	do(g.Hosts[0], true, "test", "-p", "//:check").ok(t).says(t, "1 passed")
	g.Executed()
	do(g.Hosts[1], true, "test", "-p", "//:check").ok(t).says(t, "1 passed")
	g.cached(t)
	do(g.Hosts[0], true, "build", "-p", "//bad:exits").failed(t, "this is why", "//bad:exits")
	do(g.Hosts[0], true, "build", "-p", "//bad:late").failed(t, "//bad:late", "deadline exceeded")
	do(g.Hosts[0], true, "build", "-p", "-o", "remote.platform:gpu=h100", "//bad:works").failed(t, `gpu="h100"`, "leave the property out")
}

// pleaseWorkspace are the files of a workspace.
func pleaseWorkspace(remote bool) map[string]string {
	var build strings.Builder
	for i := range rules {
		fmt.Fprintf(&build, "genrule(name=\"a%d\", srcs=[\"in.txt\"], outs=[\"a%d.txt\"], cmd=\"sleep 0.3; cat $SRCS >$OUT; echo %d >>$OUT\")\n", i, i, i)
		fmt.Fprintf(&build, "genrule(name=\"b%d\", srcs=[\":a%d\"], outs=[\"b%d.txt\"], cmd=\"sleep 0.3; cat $SRCS $SRCS >$OUT\")\n", i, i, i)
	}
	config := "[please]\nselfupdate = false\n"
	if remote {
		config += "[remote]\nurl = " + server + "\nsecure = false\nnumexecutors = 16\n"
	}
	return map[string]string{".plzconfig": config, "in.txt": "hello\n", "BUILD": build.String() + pleaseBuild, "bad/BUILD": pleaseBad}
}

// pleaseBuild has a directory and links among its outputs, and a test.
const pleaseBuild = `
genrule(name="dir", srcs=[":a0"], outs=["d"], cmd="mkdir -p d/sub/empty && cp $SRCS d/sub/x && ln -s x d/sub/link")
genrule(name="links", srcs=[":a1"], outs=["l.d", "l.txt"], cmd="mkdir l.d && cp $SRCS l.d/x && ln -s l.d/x l.txt")
genrule(name="reads", srcs=[":dir", ":links"], outs=["reads.txt"], cmd="cat d/sub/link l.txt >$OUT")
genrule(name="everything", srcs=[":reads"] + [":b%d" % i for i in range(12)], outs=["everything.txt"], cmd="cat $SRCS >$OUT")
gentest(name="check", data=[":everything"], test_cmd="grep -q hello $DATA", no_test_output=True)
`

const pleaseBad = `
genrule(name="exits", outs=["e.txt"], cmd="echo this is why >&2; exit 3")
genrule(name="late", outs=["l.txt"], cmd="sleep 60; touch $OUT", timeout=1)
genrule(name="works", outs=["w.txt"], cmd="touch $OUT")
`
