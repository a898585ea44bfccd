package ninja_test

import (
	"slices"
	"testing"

	"github.com/buildnet/buildnet/node/project/ninja"
)

// FuzzManifest says that whatever a manifest holds, reading it ends with an
// error or with a graph that holds together and can be asked.
func FuzzManifest(f *testing.F) {
	for _, tc := range manifests {
		f.Add(tc.files["input"], tc.files["sub"])
	}
	for _, tc := range faults {
		f.Add(tc.files["input"], tc.files["other"])
	}
	f.Fuzz(func(t *testing.T, text, other string) {
		files := memory{"input": text, "sub": other, "other": other}
		for _, opts := range []ninja.Options{{}, {Duplicates: ninja.DuplicatesWarn, PhonyCycles: ninja.PhonyCyclesFail}} {
			g, err := ninja.Load(files, "input", opts)
			if err != nil {
				continue
			}
			checkLinks(t, g)
			ask(t, g)
		}
	})
}

func ask(t *testing.T, g *ninja.Graph) {
	for _, e := range g.Edges {
		if len(e.Outputs) == 0 || e.ImplicitOuts > len(e.Outputs) || e.ImplicitIns+e.OrderOnlyIns > len(e.Inputs) {
			t.Errorf("edge %d has %d outputs (%d implicit) and %d inputs (%d implicit, %d order-only)", e.ID,
				len(e.Outputs), e.ImplicitOuts, len(e.Inputs), e.ImplicitIns, e.OrderOnlyIns)
		}
		plain, err := e.Command()
		appended, err2 := e.AppendCommand(nil, ninja.CommandOnly)
		if (err == nil) != (err2 == nil) || err == nil && plain != string(appended) {
			t.Errorf("Command = %q, %v; AppendCommand = %q, %v", plain, err, appended, err2)
		}
	}
	nodes, err := g.DefaultNodes()
	if err != nil {
		return
	}
	n := 0
	for range ninja.TreeLines(nodes, 0) {
		if n++; n > 1000 {
			break
		}
	}
	if lines := slices.Collect(ninja.Dot(nodes, nil)); lines[len(lines)-1] != "}" {
		t.Errorf("Dot ends with %q", lines[len(lines)-1])
	}
}

// FuzzDyndep says the same of dyndep files.
func FuzzDyndep(f *testing.F) {
	f.Add(v1 + "build out | x: dyndep | y\n  restat = 1\n" + lastOne)
	f.Add(v1 + "build out $\n | $x: dyndep | a$ b\n\n#\nbuild last: dyndep\r\n")
	f.Add("ninja_dyndep_version = 1.$\n0\nbuild other: dyndep || dd")
	f.Fuzz(func(t *testing.T, text string) {
		files := dyndepTree("")
		files["dd"] = text
		g := load(t, files)
		found, err := g.LoadDyndep(files, g.Lookup("dd"))
		if err != nil {
			return
		}
		checkLinks(t, g)
		ask(t, g)
		if len(found) != 2 {
			t.Errorf("%d edges in a file of two", len(found))
		}
	})
}
