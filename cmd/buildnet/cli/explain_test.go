package cli_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/event"
)

func TestExplainSaysWhyAndWhere(t *testing.T) {
	m := newMachine(t)
	started := time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local)
	hash := "0123456789abcdef0123456789abcdef"
	names := map[string]string{"peer-one": "hostA", "peer-two": "hostB"}
	m.node.Records = []api.BuildRecord{
		{Build: "b9", Root: "/elsewhere", Summary: json.RawMessage("{}")}, {Build: "b3", Root: m.project, Summary: json.RawMessage("{}")},
		{Build: "b2", Root: m.project, Summary: json.RawMessage("{}")},
	}
	m.node.Explanations = []event.Explanation{
		{
			Build: "b2", Root: "/p", Started: started, Names: names, Before: "b1", More: 3, Unknown: "not all is kept",
			Step:    event.StepFinished{Step: "a.o", Digest: "d", Peer: "peer-two", Status: event.Executed, RunMS: 1500},
			Because: []event.Because{{Step: "a.o", Why: "a.c is dirty"}},
			Policy:  &event.Policy{Profile: "speed", Distribution: "fastest"},
			Differences: []event.Difference{
				{Of: event.OfCommand, Name: "arguments", Before: "-O1", Now: "-O2"}, {Of: event.OfInput, Name: "src/a.c", Before: hash, Now: "f" + hash},
				{Of: event.OfToolchain, Name: "g++", Before: "blake3:" + hash, Now: "blake3:f" + hash}, {Of: event.OfEnvironment, Name: "TZ", Now: "UTC"},
			},
		},
		{
			Build: "b4", Root: "/p", Started: started, Names: names,
			Step: event.StepFinished{Step: "app", Peer: "peer-one", Status: event.Executed, RunMS: 20, Here: []string{"console", "odd"}},
		},
		{Build: "b5", Root: "/p", Started: started, Names: names, Before: "b4", Same: true, Step: event.StepFinished{Step: "x", Digest: "d", Peer: "peer-one", Status: event.CachedMesh}},
		{Build: "b6", Root: "/p", Started: started, Names: names, Step: event.StepFinished{
			Step: "x", Digest: "d", Peer: "peer-one", Status: event.Failed, Choice: &event.Choice{Why: "kept", Peer: "peer-two", HereMS: 500, ThereMS: 900},
		}},
	}
	m.up()
	for _, tc := range []struct{ args, want []string }{
		{[]string{"-C", m.project, "a.o"}, []string{`a.o in build b2 of /p, started 2026-01-02 03:04:05
it was run on hostB, in 1.50s
a.o: a.c is dirty
other than in build b1:
  command      arguments  -O1 -> -O2
  input        src/a.c    0123456789ab -> f0123456789a
  toolchain    g++        0123456789ab -> f0123456789a
  environment  TZ         new: UTC
  and 3 more
  not all is kept
hostB had a slot free and the best score of those that asked, by fastest of profile speed
`}},
		{[]string{"b4", "app"}, []string{`app in build b4 of /p, started 2026-01-02 03:04:05
it was run on hostA, in 20.0ms
no action was made of it, so that nothing of it can be compared
on no other machine: console, odd
`}},
		{[]string{"b5", "x"}, []string{`x in build b5 of /p, started 2026-01-02 03:04:05
it was not run: its result was known, from a run on hostA
nothing of it is other than in build b4
`}},
		{[]string{"b6", "x"}, []string{`x in build b6 of /p, started 2026-01-02 03:04:05
it failed on hostA
no build before is known in which it had an action
kept: here it was expected to take 0.50s, on hostB 0.90s
`}},
	} {
		if r := m.run(append([]string{"explain"}, tc.args...)...); r.status != 0 || r.out != tc.want[0] {
			t.Errorf("explain %v: status %d %s, says\n%s", tc.args, r.status, r.talked, r.out)
		}
	}
	m.run("explain", "b4", "app", "--json").want(t, 0, `"here":["console","odd"]`, "")
	m.run("explain", "-C", m.project, "none").want(t, 2, "", `no step "none" in the last builds of `)
	m.run("explain").want(t, 2, "", "want a STEP")
}
