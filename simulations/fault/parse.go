package fault

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxNode bounds the places that a line may name: no setting has as many.
const maxNode = 1 << 20

// Parse reads a line of a script:
//
//	KIND TARGET [of build N] [@SHARE% [of build N]] [at TIME] [to PERCENT%|by TIMES] [for TIME] [one-way|deaf]
//
// TARGET is node N, leader, standby, second-standby, worker, holder or
// initiator; for a split it may be the numbers of the nodes on one side.
// Cancel takes build N instead, and heal nothing.
func Parse(line string) (Fault, error) {
	p := &parser{words: strings.Fields(strings.ReplaceAll(line, "@", " @"))}
	f, err := p.fault()
	if err != nil {
		return Fault{}, fmt.Errorf("fault %q: %w", strings.TrimSpace(line), err)
	}
	return f, nil
}

type parser struct {
	words []string
	f     Fault
	said  map[string]bool
	// shareBuild says that the share names its build.
	shareBuild bool
}

// next takes the first word if it is one of these; all are taken if none are
// given.
func (p *parser) next(words ...string) (string, bool) {
	if len(p.words) == 0 || len(words) > 0 && !slices.Contains(words, p.words[0]) {
		return "", false
	}
	w := p.words[0]
	p.words = p.words[1:]
	return w, true
}

func (p *parser) fault() (Fault, error) {
	word, _ := p.next()
	k, ok := kindOf(word)
	if !ok {
		return Fault{}, fmt.Errorf("it begins with %q; write one of %s", word, kindNames())
	}
	p.f.Kind, p.said = k, map[string]bool{}
	if err := p.target(); err != nil {
		return Fault{}, fmt.Errorf("%w, as in %q", err, kinds[k].example)
	}
	for len(p.words) > 0 {
		if err := p.clause(); err != nil {
			return Fault{}, fmt.Errorf("%w, as in %q", err, kinds[k].example)
		}
	}
	if p.f.Share > 0 && !p.shareBuild {
		p.f.Build = p.f.Target.Build
	}
	if err := p.f.Validate(); err != nil {
		return Fault{}, err
	}
	return p.f, nil
}

func kindNames() string {
	names := make([]string, 0, len(kinds))
	for _, g := range kinds[1:] {
		names = append(names, g.name)
	}
	return strings.Join(names, ", ")
}

func (p *parser) target() error {
	switch {
	case p.f.Kind == Heal:
		return nil
	case p.f.Kind == Cancel:
		p.f.Target.Role = Initiator
		if _, ok := p.next("build"); !ok {
			return fmt.Errorf("it does not say which build; write \"cancel build\" and its number")
		}
		return p.number(&p.f.Target.Build, "a build")
	case p.f.Kind == Split && len(p.words) > 0 && isNumber(p.words[0]):
		return p.group()
	}
	word, ok := p.next()
	role, known := roleOf(word)
	switch {
	case !ok:
		return fmt.Errorf("it does not say whom it strikes; write one of node N, %s", strings.Join(roles[1:], ", "))
	case isNumber(word):
		return fmt.Errorf("%q alone is no target; write \"node %s\"", word, word)
	case !known:
		return fmt.Errorf("%q is no target; write one of node N, %s", word, strings.Join(roles[1:], ", "))
	}
	if p.f.Target.Role = role; role == Node {
		return p.number(&p.f.Target.Node, "a node")
	}
	return p.ofBuild(&p.f.Target.Build, nil)
}

func (p *parser) group() error {
	for len(p.words) > 0 && isNumber(p.words[0]) {
		var n int
		if err := p.number(&n, "a node"); err != nil {
			return err
		}
		p.f.Group = append(p.f.Group, n)
	}
	slices.Sort(p.f.Group)
	p.f.Group = slices.Compact(p.f.Group)
	return nil
}

func isNumber(word string) bool { return word != "" && word[0] >= '0' && word[0] <= '9' }

func (p *parser) number(into *int, what string) error {
	word, _ := p.next()
	n, err := strconv.Atoi(word)
	if err != nil || n < 0 || n > maxNode {
		return fmt.Errorf("%q is not the number of %s; they count from 0", word, what)
	}
	*into = n
	return nil
}

func (p *parser) ofBuild(into *int, named *bool) error {
	if _, ok := p.next("of"); !ok {
		return nil
	}
	if _, ok := p.next("build"); !ok {
		return fmt.Errorf("after \"of\" comes \"build\" and a number")
	}
	if named != nil {
		*named = true
	}
	return p.number(into, "a build")
}

// clause reads one of what may follow the target, in any order.
func (p *parser) clause() error {
	word, _ := p.next()
	name, share := word, strings.HasPrefix(word, "@")
	if share {
		name = "@"
	}
	if p.said[name] {
		return fmt.Errorf("it says %q twice", name)
	}
	p.said[name] = true
	switch {
	case share:
		if err := p.fraction(strings.TrimPrefix(word, "@"), &p.f.Share); err != nil {
			return err
		}
		return p.ofBuild(&p.f.Build, &p.shareBuild)
	case word == "at":
		return p.duration(&p.f.At)
	case word == "for":
		return p.duration(&p.f.For)
	case word == "to":
		amount, _ := p.next()
		return p.fraction(amount, &p.f.Factor)
	case word == "by":
		return p.times()
	case word == "one-way":
		p.f.OneWay = true
	case word == "deaf":
		p.f.Deaf = true
	default:
		return fmt.Errorf("%q is not understood; what may follow is @50%%, at 2s, for 2s, to 10%%, by 10, one-way, deaf", word)
	}
	return nil
}

func (p *parser) duration(into *time.Duration) error {
	word, _ := p.next()
	d, err := time.ParseDuration(word)
	if err != nil || d < 0 {
		return fmt.Errorf("%q is no time; write it like 1.5s or 300ms", word)
	}
	*into = d
	return nil
}

// fraction reads 20% or 0.2.
func (p *parser) fraction(word string, into *float64) error {
	digits, percent := strings.CutSuffix(word, "%")
	x, err := strconv.ParseFloat(digits, 64)
	if percent {
		x /= 100
	}
	if err != nil || !(x > 0 && x <= 1) {
		return fmt.Errorf("%q is no share; write more than 0%% and at most 100%%", word)
	}
	*into = x
	return nil
}

func (p *parser) times() error {
	if p.said["to"] {
		return fmt.Errorf("it says both \"to\" and \"by\"")
	}
	word, _ := p.next()
	x, err := strconv.ParseFloat(word, 64)
	if err != nil || !(x > 1) || 1/x == 0 {
		return fmt.Errorf("by %q; write a number above 1: by 10 is to 10%%", word)
	}
	p.said["to"] = true
	p.f.Factor = 1 / x
	return nil
}

// Validate says what is wrong with a fault by itself.
func (f *Fault) Validate() error {
	if f.Kind == 0 || int(f.Kind) >= len(kinds) {
		return fmt.Errorf("kind %d is none", f.Kind)
	}
	g := kinds[f.Kind]
	switch {
	case f.At < 0 || f.For < 0:
		return fmt.Errorf("times are 0 or more")
	case f.Share != 0 && f.At != 0:
		return fmt.Errorf("it strikes either at a time or at a share of a build; leave out one, as in %q", g.example)
	case !(f.Share >= 0 && f.Share <= 1):
		return fmt.Errorf("share %v; it is in [0, 1]", f.Share)
	case f.For != 0 && !g.lasts:
		return fmt.Errorf("%s takes no \"for\", as in %q", g.name, g.example)
	case f.For == 0 && g.mustLast:
		return fmt.Errorf("%s needs \"for\" and how long, as in %q", g.name, g.example)
	case g.factor && !(f.Factor > 0 && f.Factor < 1):
		return fmt.Errorf("%s needs \"to\" and a share below 100%%, as in %q", g.name, g.example)
	case !g.factor && f.Factor != 0:
		return fmt.Errorf("%s takes no \"to\" or \"by\", as in %q", g.name, g.example)
	case f.Kind != Split && (f.OneWay || f.Deaf || len(f.Group) > 0):
		return fmt.Errorf("only a split has sides: leave out \"one-way\" and \"deaf\"")
	case f.OneWay && f.Deaf:
		return fmt.Errorf("a split that is \"one-way\" and \"deaf\" is whole; leave both out")
	}
	return nil
}
