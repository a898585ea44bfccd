package profile

import (
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/sched/steal"
)

// Exchange is what the cache policy is to the scheduler.
func (p Profile) Exchange() steal.Exchange {
	switch p.Cache {
	case AggressiveLocal:
		return steal.GiveOnly
	case Minimal:
		return steal.TakeOnly
	default:
		return steal.TakeAndGive
	}
}

// Copies is what the storage preference is to the scheduler.
func (p Profile) Copies() steal.Copies {
	switch p.Storage {
	case StoreLocal:
		return steal.InitiatorKeeps
	case StoreCheapest:
		return steal.MakerKeeps
	default:
		return steal.BothKeep
	}
}

// Event tells what a build went by.
func (c Chosen) Event() *event.Policy {
	e := &event.Policy{
		Profile: c.Name, From: string(c.From), Distribution: c.Distribution.String(), Partition: c.Partition.String(),
		CPU: string(c.CPU), Storage: string(c.Storage), Network: string(c.Network), Cache: string(c.Cache), Changes: c.Changes(),
	}
	if w := c.Weights; w != nil {
		e.Weights = &event.Weights{Performance: w.Performance, Locality: w.Locality, Latency: w.Latency, Availability: w.Availability}
	}
	return e
}
