package scenario

import (
	"fmt"

	"github.com/buildnet/buildnet/simulations/draw"
	"github.com/buildnet/buildnet/simulations/setting"
)

// drawn is a setting in which the seed decides on everything.
func (s *Scenario) drawn(seed uint64, scale Scale) (*setting.Setting, error) {
	if scale.Nodes != 0 {
		return nil, fmt.Errorf("scenario %s: each seed decides how many nodes there are; leave out the number, or choose another scenario", s.Name())
	}
	got := draw.Setting(seed)
	got.Name = s.Name()
	return got, nil
}
