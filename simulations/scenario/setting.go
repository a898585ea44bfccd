package scenario

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/buildnet/buildnet/simulations/network"
	"github.com/buildnet/buildnet/simulations/setting"
)

// Scale changes the size of a scenario.
type Scale struct {
	// Nodes is how many nodes there are, in all sites together, in proportion;
	// 0 leaves them as they are.
	Nodes int
}

// The streams of chance, one for each part: what is drawn for one leaves the
// others as they are.
const (
	machineStream = iota + 1
	buildStream
	churnStream
)

// plan is a setting while it is made.
type plan struct {
	*Scenario
	seed uint64
	out  *setting.Setting
	// first is the first node of each site, and one past the last of all.
	first []int
	// names finds builds by their names.
	names map[string]int
}

// Setting makes the scenario's setting of a seed. Errors concern what cannot
// be done at this scale.
func (s *Scenario) Setting(seed uint64, scale Scale) (*setting.Setting, error) {
	if s.Drawn() {
		return s.drawn(seed, scale)
	}
	nodes := s.Nodes()
	if scale.Nodes != 0 {
		nodes = scale.Nodes
	}
	switch {
	case nodes > maxNodes:
		return nil, fmt.Errorf("scenario %s: %d nodes, the limit is %d; ask for fewer", s.Name(), nodes, maxNodes)
	case nodes < len(s.file.Sites):
		return nil, fmt.Errorf("scenario %s: %d nodes, and each of its %d sites has one at least; ask for more", s.Name(), nodes, len(s.file.Sites))
	case s.Builds(nodes) > maxBuilds:
		return nil, fmt.Errorf("scenario %s: %d builds, the limit is %d; ask for fewer, or for fewer nodes", s.Name(), s.Builds(nodes), maxBuilds)
	case s.Steps(nodes) > maxTotalSteps:
		return nil, fmt.Errorf("scenario %s: up to %d steps in all builds together, the limit is %d; ask for fewer builds or smaller ones", s.Name(), s.Steps(nodes), maxTotalSteps)
	}
	p := &plan{Scenario: s, seed: seed, names: map[string]int{}, out: &setting.Setting{
		Name: s.Name(), Seed: seed, Flaky: s.file.Flaky, Limit: time.Duration(s.file.Limits.Run),
		Membership: setting.StandardMembership(), Lookup: setting.StandardLookup(), Overheads: setting.StandardOverheads(),
	}}
	p.nodes(nodes)
	p.network()
	if err := p.builds(); err != nil {
		return nil, fmt.Errorf("scenario %s: %w", s.Name(), err)
	}
	if err := p.faults(); err != nil {
		return nil, fmt.Errorf("scenario %s: %w", s.Name(), err)
	}
	return p.out, nil
}

func (p *plan) rng(stream, of int) *rand.Rand {
	return rand.New(rand.NewPCG(p.seed, uint64(stream)<<32|uint64(of)))
}

// deal parts n in proportion to weights, each at least least: the largest
// remainders get what is left over, the first of equals first.
func deal(n int, weights []int, least int) []int {
	sum := 0
	for _, w := range weights {
		sum += w
	}
	parts := make([]int, len(weights))
	given := 0
	for i, w := range weights {
		parts[i] = max(least, n*w/sum)
		given += parts[i]
	}
	for ; given < n; given++ {
		parts[furthest(n, parts, weights, sum)]++
	}
	for ; given > n; given-- {
		parts[largest(parts)]--
	}
	return parts
}

// furthest is the part that is furthest below its share.
func furthest(n int, parts, weights []int, sum int) int {
	best, most := 0, -n*sum
	for i, w := range weights {
		if below := n*w - parts[i]*sum; below > most {
			best, most = i, below
		}
	}
	return best
}

func largest(parts []int) int {
	best := 0
	for i, n := range parts {
		if n > parts[best] {
			best = i
		}
	}
	return best
}

func (p *plan) nodes(n int) {
	weights := make([]int, len(p.file.Sites))
	for i := range p.file.Sites {
		weights[i] = p.file.Sites[i].nodes()
	}
	rng := p.rng(machineStream, 0)
	counts := deal(n, weights, 1)
	groups := gather(counts, p.file.Cells)
	for i, count := range counts {
		p.first = append(p.first, len(p.out.Nodes))
		p.site(i, count, groups[i].first, groups[i].groups, rng)
	}
	p.first = append(p.first, len(p.out.Nodes))
}

// grouping is the gossip groups of a site: so many, from the first on.
type grouping struct{ first, groups int }

// gather parts the nodes of sites, so many in each, into groups of at most so
// many: a larger site into several, neighbouring smaller ones into one as long
// as they fit. 0 puts all into one.
func gather(counts []int, most int) []grouping {
	sites := make([]grouping, len(counts))
	if most <= 0 {
		for i := range sites {
			sites[i].groups = 1
		}
		return sites
	}
	next, room := 0, 0 // in the group before next
	for i, count := range counts {
		if count <= room {
			room -= count
			sites[i] = grouping{next - 1, 1}
			continue
		}
		sites[i] = grouping{next, (count + most - 1) / most}
		next += sites[i].groups
		if room = 0; sites[i].groups == 1 {
			room = most - count
		}
	}
	return sites
}

func (p *plan) site(i, count, cell, cells int, rng *rand.Rand) {
	s := &p.file.Sites[i]
	weights := make([]int, len(s.Machines))
	sum := 0
	for k, m := range s.Machines {
		weights[k] = m.Count
		sum += m.Count
	}
	dealt := make([]int, len(weights))
	for k := range count {
		kind := furthest(k+1, dealt, weights, sum)
		dealt[kind]++
		m := &s.Machines[kind]
		p.out.Nodes = append(p.out.Nodes, setting.Node{
			Name: fmt.Sprintf("%s-%d", s.Name, k+1), BPU: m.BPU.draw(rng), Slots: m.Slots.draw(rng), Cell: cell + k*cells/count,
			Toolchains: m.Toolchains, Skew: m.Skew.draw(rng), Late: m.Late.draw(rng),
		})
		p.out.Network.Site = append(p.out.Network.Site, i)
	}
}

func (p *plan) network() {
	for i := range p.file.Sites {
		l := &p.file.Sites[i].LAN
		p.out.Network.Sites = append(p.out.Network.Sites, network.Site{Name: p.file.Sites[i].Name, Local: network.Path{
			Latency: time.Duration(l.Latency), Jitter: time.Duration(l.Jitter), Bandwidth: float64(l.Bandwidth),
			Loss: l.Loss, Duplication: l.Duplication, Reordering: l.Reordering,
		}})
	}
	for _, l := range p.file.Links {
		path := network.Path{
			Latency: time.Duration(l.Latency), Jitter: time.Duration(l.Jitter), Bandwidth: float64(l.Bandwidth),
			Loss: l.Loss, Duplication: l.Duplication, Reordering: l.Reordering,
		}
		for k, a := range l.Between {
			for _, b := range l.Between[:k] {
				p.out.Network.Routes = append(p.out.Network.Routes, network.Route{A: p.sites[b], B: p.sites[a], Path: path})
			}
		}
	}
}

// splitNode parts the name of a node into its site and its number; 0 if it is
// none.
func splitNode(name string) (site string, number int) {
	i := strings.LastIndexByte(name, '-')
	if i < 0 {
		return "", 0
	}
	n, err := strconv.Atoi(name[i+1:])
	if err != nil {
		return "", 0
	}
	return name[:i], n
}

// node finds a node by its name.
func (p *plan) node(name string) (int, error) {
	site, number := splitNode(name)
	i, ok := p.sites[site]
	if !ok {
		return 0, fmt.Errorf("there is no node %q; nodes are called like %s", name, p.out.Nodes[0].Name)
	}
	if has := p.first[i+1] - p.first[i]; number < 1 || number > has {
		return 0, fmt.Errorf("there is no node %q at this size: site %s has %d; name another, or ask for more nodes", name, site, has)
	}
	return p.first[i] + number - 1, nil
}

// places are the nodes of sites and nodes, by their names.
func (p *plan) places(names []string) ([]int, error) {
	var all []int
	for _, name := range names {
		if i, ok := p.sites[name]; ok {
			for n := p.first[i]; n < p.first[i+1]; n++ {
				all = append(all, n)
			}
			continue
		}
		n, err := p.node(name)
		if err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, nil
}
