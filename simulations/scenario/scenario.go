// Package scenario reads what a user writes down about a mesh (sites, machines,
// links, churn, faults, builds) and makes settings of it, one for each seed.
// Files are strict: what is not known is an error that advises. It is pure.
// Start reading at Load, then at the types of file.go, which are the format.
package scenario

import (
	"fmt"
	"path"
	"regexp"
	"strings"

	"github.com/buildnet/buildnet/node/config/near"
	"github.com/buildnet/buildnet/node/config/strict"
	"github.com/buildnet/buildnet/simulations/fault"
)

// Scenario is a file that could be read.
type Scenario struct {
	file  file
	sites map[string]int
}

// Load reads a scenario. name is the file's, for errors. The error is a
// *strict.Faults.
func Load(src []byte, name string) (*Scenario, error) {
	r := strict.New(name, maxSourceBytes)
	s := &Scenario{sites: map[string]int{}}
	r.Read(src, &s.file)
	if err := r.Err(); err != nil {
		return nil, err
	}
	if s.file.Name == "" {
		s.file.Name = strings.TrimSuffix(path.Base(name), path.Ext(name))
	}
	s.check(r)
	return s, r.Err()
}

// Schema returns the JSON Schema of a scenario file, as docs/ publishes it.
func Schema() ([]byte, error) { return strict.SchemaOf[file]("BuildNet simulation scenario") }

// Name is what the scenario is called.
func (s *Scenario) Name() string { return s.file.Name }

// Description is one sentence, or "".
func (s *Scenario) Description() string { return s.file.Description }

// Drawn reports whether each seed decides on everything, the number of nodes
// too.
func (s *Scenario) Drawn() bool { return s.file.Draw != "" }

// Nodes is how many nodes it has by itself; 0 if it is drawn.
func (s *Scenario) Nodes() int {
	sum := 0
	for i := range s.file.Sites {
		sum += s.file.Sites[i].nodes()
	}
	return sum
}

// Builds is how many builds are asked for on so many nodes; 0 if they are
// drawn.
func (s *Scenario) Builds(nodes int) int {
	sum := 0
	for i := range s.file.Builds {
		sum += s.file.Builds[i].number(nodes)
	}
	return sum
}

// Steps is the most that all builds together may have on so many nodes.
func (s *Scenario) Steps(nodes int) int {
	sum := 0
	for i := range s.file.Builds {
		sum += s.file.Builds[i].number(nodes) * int(s.file.Builds[i].Steps.most)
	}
	return sum
}

func (s *site) nodes() int {
	if s.Count > 0 {
		return s.Count
	}
	sum := 0
	for _, m := range s.Machines {
		sum += m.Count
	}
	return sum
}

func (b *build) number(nodes int) int {
	if b.Per > 0 {
		return (nodes + b.Per - 1) / b.Per
	}
	return max(1, b.Count)
}

// nameFormat leaves out spaces and what has a meaning in a fault's line.
var nameFormat = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,63}$`)

// check finds what concerns more than one value.
func (s *Scenario) check(r *strict.Reader) {
	f := &s.file
	if f.Draw != "" {
		if len(f.Sites)+len(f.Links)+len(f.Faults)+len(f.Builds) > 0 || f.Churn != nil {
			r.Add("draw", "keep either draw or the rest", "the seed decides on everything, and the file says more")
		}
		return
	}
	if len(f.Sites) == 0 {
		r.Add("", "add sites", "sites are missing")
	}
	if len(f.Builds) == 0 {
		r.Add("", "add builds", "builds are missing")
	}
	s.checkSites(r)
	s.checkLinks(r)
	s.checkBuilds(r)
	s.checkFaults(r)
	if n := s.Nodes(); n > maxNodes {
		r.Add("sites", "make it smaller", "%d nodes, the limit is %d", n, maxNodes)
	}
}

func (s *Scenario) checkSites(r *strict.Reader) {
	for i := range s.file.Sites {
		at, name := fmt.Sprintf("sites[%d].name", i), s.file.Sites[i].Name
		_, twice := s.sites[name]
		switch {
		case !nameFormat.MatchString(name):
			r.Add(at, "use letters, digits, - and _, beginning with a letter", "%q cannot be a site's name", name)
		case twice:
			r.Add(at, "rename one of them", "two sites are called %q", name)
		case isRole(name):
			r.Add(at, "call it something else", "%q is a role in a build", name)
		default:
			s.sites[name] = i
		}
	}
}

func (s *Scenario) siteNames() []string {
	names := make([]string, len(s.file.Sites))
	for i := range s.file.Sites {
		names[i] = s.file.Sites[i].Name
	}
	return names
}

func (s *Scenario) checkLinks(r *strict.Reader) {
	joined := map[[2]int]bool{}
	for i, l := range s.file.Links {
		at := fmt.Sprintf("links[%d].between", i)
		for k, a := range l.Between {
			if _, ok := s.sites[a]; !ok {
				r.Add(at, near.DidYouMean(a, s.siteNames(), "add the site, or remove it here"), "there is no site %q", a)
				continue
			}
			for _, b := range l.Between[:k] {
				pair := [2]int{min(s.sites[a], s.sites[b]), max(s.sites[a], s.sites[b])}
				switch {
				case a == b:
					r.Add(at, "a site's own network is its lan", "%q stands here twice", a)
				case joined[pair]:
					r.Add(at, "keep one of them", "there is a link between %s and %s already", b, a)
				}
				joined[pair] = true
			}
		}
	}
}

func (s *Scenario) checkBuilds(r *strict.Reader) {
	seen := map[string]bool{}
	for i := range s.file.Builds {
		b, at := &s.file.Builds[i], fmt.Sprintf("builds[%d]", i)
		if b.Name == "" {
			b.Name = fmt.Sprintf("build%d", i)
		}
		switch {
		case !nameFormat.MatchString(b.Name):
			r.Add(at+".name", "use letters, digits, - and _, beginning with a letter", "%q cannot be a build's name", b.Name)
		case seen[b.Name]:
			r.Add(at, "rename one of them", "two builds are called %q", b.Name)
		case b.Count > 0 && b.Per > 0:
			r.Add(at+".per", "keep one of them", "it has both count and per")
		case b.Failing+b.Killing+b.Careless+b.Losing > 1:
			r.Add(at, "make them smaller", "the shares of failing, killing, careless and losing steps come to more than 1")
		}
		seen[b.Name] = true
		for k, name := range b.From {
			if !s.isPlace(name) {
				r.Add(fmt.Sprintf("%s.from[%d]", at, k), near.DidYouMean(name, s.siteNames(), "name a site, or a node such as "+s.file.Sites[0].Name+"-1"), "%q is neither a site nor a node", name)
			}
		}
	}
}

// isPlace reports whether name is a site's, or looks like one of its nodes'.
func (s *Scenario) isPlace(name string) bool {
	if _, ok := s.sites[name]; ok {
		return true
	}
	of, number := splitNode(name)
	_, ok := s.sites[of]
	return ok && number > 0
}

func isRole(name string) bool { _, ok := roleOf(name); return ok }

// roleOf finds a role by its name, of those that are no fixed node.
func roleOf(name string) (fault.Role, bool) {
	for r := fault.Leader; r <= fault.Initiator; r++ {
		if r.String() == name {
			return r, true
		}
	}
	return 0, false
}
