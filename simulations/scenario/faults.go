package scenario

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/buildnet/buildnet/node/config/near"
	"github.com/buildnet/buildnet/node/config/strict"
	"github.com/buildnet/buildnet/simulations/fault"
)

// set reads a line; that it is one in the words of fault.Parse is checked with
// the rest of the file, so that it can be told in one place.
func (f *oneFault) Set(word string) error {
	if word == "" {
		return errors.New("the line is empty")
	}
	f.line = word
	return nil
}

func (*oneFault) Advice() string { return `write a line such as "kill leader@50% for 5s"` }

func (*oneFault) Schema() strict.Schema {
	return strict.Schema{"type": "string", "pattern": "^[a-z]", "examples": []string{"kill leader@50% for 5s"}}
}

func (s *Scenario) checkFaults(r *strict.Reader) {
	for i := range s.file.Faults {
		f, at := &s.file.Faults[i], fmt.Sprintf("faults[%d]", i)
		if f.line != "" {
			if _, err := fault.Parse(f.line); err != nil {
				r.Add(at, "see the words of a fault in docs/simulation.md", "%v", err)
			}
			continue
		}
		if err := s.checkFault(f); err != nil {
			r.Add(at, "correct it", "%v", err)
			continue
		}
		for _, name := range f.Group {
			if !s.isPlace(name) {
				r.Add(at+".group", near.DidYouMean(name, s.siteNames(), "name a site, or a node"), "%q is neither a site nor a node", name)
			}
		}
		if f.Build != "" && !s.mayBeBuild(f.Build) {
			r.Add(at+".build", "name one of the builds", "there is no build %q", f.Build)
		}
	}
}

// checkFault checks what does not depend on the size of the scenario.
func (s *Scenario) checkFault(f *oneFault) error {
	_, role := roleOf(f.To)
	switch strikesNobody := f.Do == "heal" || f.Do == "cancel" || f.Do == "split" && len(f.Group) > 0; {
	case f.To == "" && !strikesNobody:
		return fmt.Errorf("it does not say whom it strikes: add to, with a node or a role")
	case f.To != "" && strikesNobody:
		return fmt.Errorf("%s takes no to", f.Do)
	case f.To != "" && !role && !s.isPlace(f.To):
		return fmt.Errorf("%q is neither a node nor a role", f.To)
	}
	one := f.fault()
	return one.Validate()
}

// mayBeBuild reports whether a build could be called so, at some size.
func (s *Scenario) mayBeBuild(name string) bool {
	of, number := splitNode(name)
	return slices.ContainsFunc(s.file.Builds, func(b build) bool { return b.Name == name || number > 0 && b.Name == of })
}

// fault is what does not need names.
func (f *oneFault) fault() fault.Fault {
	one := fault.Fault{
		At: time.Duration(f.At), Share: f.Share, OneWay: f.OneWay, Deaf: f.Deaf, For: time.Duration(f.For), Factor: f.Factor,
	}
	for k := fault.Kill; k <= fault.Heal; k++ {
		if k.String() == f.Do {
			one.Kind = k
		}
	}
	if one.Kind == fault.Cancel {
		one.Target.Role = fault.Initiator
	}
	return one
}

func (p *plan) faults() error {
	for i := range p.file.Faults {
		f := &p.file.Faults[i]
		one, err := fault.Parse(f.line)
		if f.line == "" {
			one, err = p.fault(f)
		}
		if err == nil {
			err = p.fits(&one)
		}
		if err != nil {
			return fmt.Errorf("faults[%d]: %w", i, err)
		}
		p.out.Faults = append(p.out.Faults, one)
	}
	p.churn()
	p.out.HealAt = p.healAt()
	slices.SortStableFunc(p.out.Faults, func(a, b fault.Fault) int { return int(a.At - b.At) })
	return nil
}

// fault puts places for the names in a mapping.
func (p *plan) fault(f *oneFault) (one fault.Fault, err error) {
	one = f.fault()
	if f.Build != "" {
		k, ok := p.names[f.Build]
		if !ok {
			return one, fmt.Errorf("there is no build %q at this size; name another, or ask for more nodes", f.Build)
		}
		one.Build, one.Target.Build = k, k
	}
	if role, ok := roleOf(f.To); ok {
		one.Target.Role = role
	} else if f.To != "" {
		nodes, err := p.places([]string{f.To})
		if err != nil {
			return one, err
		}
		if len(nodes) > 1 && one.Kind != fault.Split {
			return one, fmt.Errorf("%q is a whole site; name one of its nodes", f.To)
		}
		one.Target.Node = nodes[0]
	}
	one.Group, err = p.places(f.Group)
	slices.Sort(one.Group)
	one.Group = slices.Compact(one.Group)
	return one, err
}

// there says how many things of a kind there are.
func there(n int, what string) string {
	if n == 1 {
		return "there is 1 " + what
	}
	return fmt.Sprintf("there are %d %ss", n, what)
}

// fits checks the numbers of a line against the setting.
func (p *plan) fits(f *fault.Fault) error {
	nodes, builds := len(p.out.Nodes), len(p.out.Builds)
	switch {
	case f.Target.Node >= nodes || slices.ContainsFunc(f.Group, func(n int) bool { return n >= nodes }):
		return fmt.Errorf("%s, counted from 0; name one of them, or ask for more", there(nodes, "node"))
	case f.Build >= builds || f.Target.Build >= builds:
		return fmt.Errorf("%s, counted from 0; name one of them", there(builds, "build"))
	}
	return nil
}

// churn draws deaths as they come: one after another, with times between them
// as independent events have them. Nobody dies twice before it is back.
func (p *plan) churn() {
	c := p.file.Churn
	if c == nil || c.Share == 0 {
		return
	}
	asks := map[int]bool{}
	for _, b := range p.out.Builds {
		asks[b.Initiator] = true
	}
	rng := p.rng(churnStream, 0)
	perSecond := c.Share * float64(len(p.out.Nodes)) / 60
	back := make([]time.Duration, len(p.out.Nodes))
	from, until := time.Duration(c.From), time.Duration(c.From+c.Duration)
	for at := from; len(p.out.Faults) < maxChurn; {
		at += time.Duration(rng.ExpFloat64() / perSecond * float64(time.Second))
		if at >= until {
			return
		}
		node, away := rng.IntN(len(p.out.Nodes)), max(time.Millisecond, c.Away.draw(rng))
		if asks[node] || at < back[node] || at < p.out.Nodes[node].Late {
			continue
		}
		back[node] = at + away
		p.out.Faults = append(p.out.Faults, fault.Fault{At: at, Kind: fault.Kill, Target: fault.Target{Node: node}, For: away})
	}
}

// untimed is how long a fault is waited for that strikes at a share of a build,
// and how long one lasts that does not say.
const untimed = time.Minute

// healAt is when the faults are over.
func (p *plan) healAt() time.Duration {
	if p.file.Limits.Heal > 0 {
		return time.Duration(p.file.Limits.Heal)
	}
	var last time.Duration
	for _, f := range p.out.Faults {
		at := f.At
		if f.Share > 0 {
			at += untimed
		}
		if lasts := f.Kind == fault.Split || f.Kind == fault.Slow || f.Kind == fault.Clog || f.Kind == fault.FailDisk || f.Kind == fault.Claim; lasts && f.For == 0 {
			at += untimed
		}
		last = max(last, at+f.For)
	}
	if p.file.Flaky > 0 {
		last = max(last, untimed)
	}
	return last
}
