package cli_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/event"
)

// problem is the line of a command with --json that came to nothing.
type problem struct {
	Event, Kind, Error string
	Status             int
}

// wantProblem checks that a problem is all that stdout has, and that people were
// told the same.
func (r ran) wantProblem(t *testing.T, status int, kind, text string) {
	t.Helper()
	var p problem
	if err := json.Unmarshal([]byte(r.out), &p); err != nil {
		t.Errorf("stdout is %q: %v; stderr %q", r.out, err, r.talked)
		return
	}
	if r.status != status || p.Status != status || p.Event != "error" || p.Kind != kind || !strings.Contains(p.Error, text) || r.talked != "buildnet: "+p.Error+"\n" {
		t.Errorf("status %d, %+v, stderr %q, want %d, %s, %q", r.status, p, r.talked, status, kind, text)
	}
}

func TestWhoAskedForJSONGetsTheProblemAsJSON(t *testing.T) {
	m := newMachine(t)
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("version: 1\nname: night\ndistribution: fastst\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args   string
		status int
		kind   string
		text   string
	}{
		{"node status --json", 3, "unavailable", "`buildnet node up`"},
		{"mesh invite --json", 3, "unavailable", "`buildnet node up`"},
		{"distribute --json", 3, "unavailable", "`buildnet node up`"},
		{"node status --jsn --json", 2, "invalid", "unknown flag: --jsn"},
		{"nod --json", 2, "invalid", "did you mean node?"},
		{"build --json --strategy fast -C " + m.project, 2, "invalid", "did you mean fastest?"},
		{"build --json --partition files -C " + m.project, 2, "invalid", "did you mean file?"},
		{"build --json -j 0", 2, "invalid", "want a positive number"},
		{"build --json -C /no/such", 2, "invalid", "/no/such"},
		{"build --json -j x", 2, "invalid", `invalid argument "x" for "-j, --jobs" flag: want a number; see`},
		{"build --json -j 99999999999999999999", 2, "invalid", "the number is too large"},
		{"build --json --resume --strategy fastest -C " + m.project, 2, "invalid", "leave --strategy away"},
		{"build --json --resume a b -C " + m.project, 2, "invalid", "it takes one BUILD"},
		{"builds attach --json", 2, "invalid", "BUILD is missing; see `buildnet builds attach --help`"},
		{"mesh invite --json now", 2, "invalid", `"now" is too much`},
		{"profile lst --json", 2, "invalid", "did you mean list, use?"},
		{"profile create --json " + bad, 2, "invalid", "did you mean fastest?"},
		{"profile use --json", 2, "invalid", "--none"},
		{"queue retry --json", 2, "invalid", "queue dead"},
		{"node set --json --share 3", 2, "invalid", "at most 1"},
		{"sim run --json", 2, "invalid", "buildnet sim list"},
	} {
		m.run(strings.Fields(c.args)...).wantProblem(t, c.status, c.kind, c.text)
	}
	for _, args := range [][]string{{"builds", "attach", "--json", ""}, {"build", "--json", "--resume", "", "-C", m.project}} {
		m.run(args...).wantProblem(t, 2, "invalid", "BUILD is empty")
	}
	m.run("node", "status", "--json=false").want(t, 3, "", "buildnet node up")
	if r := m.run("node", "status"); r.out != "" {
		t.Errorf("who asked for no JSON gets %q", r.out)
	}
	m.up()
	m.node.Err = &api.Error{Kind: api.Conflict, Message: "what", Hint: "do this"}
	m.run("mesh", "leave", "--json").wantProblem(t, 2, "conflict", "what; do this")
	m.run("mesh", "leave").want(t, 2, "", "what; do this")
}

func TestABuildThatFailsIsAnAnswerAndNoProblem(t *testing.T) {
	m := newMachine(t)
	m.node.OnBuild = script(event.BuildFinished{Build: "b", Failed: 1})
	m.up()
	if r := m.run("build", "--json", "-C", m.project); r.status != 1 || strings.Count(r.out, "\n") != 1 || !strings.Contains(r.out, `"event":"build.finished"`) {
		t.Errorf("status %d, %q", r.status, r.out)
	}
	m.node.OnBuild = func(context.Context, api.BuildRequest, func(event.Event)) error {
		return &api.Error{Kind: api.Invalid, Message: "config.yaml:1: wrong", Hint: "make it right"}
	}
	m.run("build", "--json", "-C", m.project).wantProblem(t, 2, "invalid", "make it right")
}
