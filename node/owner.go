package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/config"
	"github.com/buildnet/buildnet/node/host"
	"github.com/buildnet/buildnet/node/host/cgroup"
	"github.com/buildnet/buildnet/node/yield"
)

// owner sees to it that whoever is at this machine goes before the builds of
// others.
type owner struct {
	*yield.Driver
	home    string
	parts   *parts
	group   *cgroup.Group // of what runs for others; nil if there is none
	lacking string
	// changing orders the changes of what the owner wants, over their I/O: each
	// changes what it has read.
	changing sync.Mutex
}

// newOwner makes the group of what runs for others, and what drives it.
func (n *Node) newOwner(p *parts, settings config.Settings) *owner {
	o := &owner{home: n.cfg.Home, parts: p}
	options := yield.Options{Slots: p.slots, Rules: rulesOf(settings), Work: o, Log: n.cfg.Log}
	if n.cfg.Machine.Executor == nil {
		o.open(n)
		options.Means, options.Read = o.means(), o.read()
	}
	o.Driver = yield.NewDriver(options)
	return o
}

func rulesOf(s config.Settings) yield.Rules {
	r := yield.Rules{Share: s.Share, Yield: s.Yield == config.On}
	if r.Share == 0 {
		r.Share = 1
	}
	if s.Yield == config.Unset {
		// Who has a machine with a battery sits before it.
		r.Yield = host.HasBattery("/")
	}
	return r
}

func (o *owner) open(n *Node) {
	group, err := cgroup.Open(cgroup.Options{Root: "/", Name: "buildnet-" + cgroup.NameOf(n.cfg.Home)})
	if err != nil {
		o.lacking = err.Error()
		n.cfg.Log.Info("what runs for others has no control group: it runs when nothing else does", "error", err)
		return
	}
	o.group = group
	if m := group.Means(); !m.Weight {
		o.lacking = "no weight of its own: the processor is not among what this user may divide"
		n.cfg.Log.Info("what runs for others has no weight of its own", "group", group.Text())
	}
}

// close removes the group, when nothing runs in it any more.
func (o *owner) close(n *Node) {
	if o.group == nil {
		return
	}
	if err := o.group.Close(); err != nil {
		n.cfg.Log.Debug("a control group stays until the next start", "error", err)
	}
}

func (o *owner) means() yield.Means {
	if o.group == nil {
		return yield.Means{}
	}
	m := o.group.Means()
	return yield.Means{Lower: m.Weight || m.Quota, Stop: m.Quota || m.Freeze}
}

// read returns what reads the load of this machine, nil if nothing can.
func (o *owner) read() func() (yield.Total, error) {
	load, err := host.NewLoad("/")
	if err != nil {
		if o.lacking != "" {
			o.lacking += "; "
		}
		o.lacking += err.Error()
		return nil
	}
	return func() (yield.Total, error) {
		u, err := load.Read()
		return yield.Total{All: u.All, Node: u.Node, Cores: u.Cores, Waited: u.Waited, Battery: u.Battery}, err
	}
}

// Lend implements yield.Work.
func (o *owner) Lend(slots int) { o.parts.sched.Lend(slots) }

// Release implements yield.Work.
func (o *owner) Release() { o.parts.sched.Release() }

// Bind implements yield.Work.
func (o *owner) Bind(b yield.Binding) error {
	if o.group == nil {
		return nil
	}
	weight, cores := cgroup.Low, 0.0
	if b.Lowest {
		weight = cgroup.Lowest
	}
	quota := o.group.Means().Quota
	switch {
	case b.Held && quota:
		cores = cgroup.Trickle
	case b.Portion < 1:
		cores = b.Portion * o.parts.cores
	}
	return errors.Join(o.group.Weigh(weight), o.group.Bound(cores), o.group.Freeze(b.Held && !quota))
}

// lent is what others have of this machine, for the API.
func (o *owner) lent() api.Lent {
	rules, offer := o.Now()
	l := api.Lent{
		Share: rules.Share, Yield: rules.Yield, Slots: offer.Slots, Of: offer.Of, Held: offer.Held, Text: offer.Text(),
		OwnerUse: round(offer.Use), Lacking: o.lacking, Means: "niceness 19, idle processor and disk",
	}
	switch offer.Why {
	case yield.InUse:
		l.Why = "in_use"
	case yield.OnBattery:
		l.Why = "battery"
	default:
		l.Why = "share"
	}
	if o.group != nil {
		l.Means = o.group.Text()
	}
	return l
}

// setTime bounds how long a change of the settings waits to be done.
const setTime = 5 * time.Second

// Lend implements api.Node: what is set holds at once, and after a restart.
func (o *offer) Lend(ctx context.Context, r api.LendRequest) (api.Lent, error) {
	owner := o.parts.owner
	owner.changing.Lock()
	defer owner.changing.Unlock()
	rules, _ := owner.Now()
	var save config.Owner
	if r.Share != nil {
		save.Share, rules.Share = *r.Share, *r.Share
	}
	if r.Yield != nil {
		save.Yield, rules.Yield = config.Off, *r.Yield
		if rules.Yield {
			save.Yield = config.On
		}
	}
	if !rules.Valid() {
		return api.Lent{}, api.Errorf(api.Invalid, "%v", config.CheckShare(rules.Share))
	}
	if err := config.SaveOwner(owner.home, save); err != nil {
		return api.Lent{}, &api.Error{Kind: api.Conflict, Message: err.Error(), Hint: "mend node.yaml, or change it there and restart the node"}
	}
	ctx, cancel := context.WithTimeout(ctx, setTime)
	defer cancel()
	if _, err := owner.Set(ctx, rules); err != nil {
		return api.Lent{}, fmt.Errorf("change what others may use: %w", err)
	}
	return owner.lent(), nil
}
