package scenario

import (
	"embed"
	"fmt"
	"path"
	"strings"

	"github.com/buildnet/buildnet/node/config/near"
)

//go:embed builtin/*.yaml
var builtin embed.FS

// order is how the built-in scenarios are listed: by size, then what they show.
var order = []string{"lan-10", "office-100", "campus-1000", "planet-10000", "chaos", "leader-dies", "split", "slow-worker", "all-lost", "poison"}

// Builtins returns the scenarios that come with the program.
func Builtins() []*Scenario {
	all := make([]*Scenario, len(order))
	for i, name := range order {
		s, err := Builtin(name)
		if err != nil {
			panic(err) // a test loads them all
		}
		all[i] = s
	}
	return all
}

// Builtin returns the built-in scenario of a name. Its error advises.
func Builtin(name string) (*Scenario, error) {
	src, err := Source(name)
	if err != nil {
		return nil, err
	}
	return Load(src, name+".yaml")
}

// Source returns the file of a built-in scenario.
func Source(name string) ([]byte, error) {
	src, err := builtin.ReadFile(path.Join("builtin", name+".yaml"))
	if err != nil || strings.ContainsRune(name, '/') {
		return nil, fmt.Errorf("there is no scenario %q; %s", name, near.DidYouMean(name, order, "`buildnet sim list` lists them; a file's name ends with .yaml"))
	}
	return src, nil
}
