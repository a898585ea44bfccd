package scenario

import (
	"errors"
	"fmt"

	"github.com/buildnet/buildnet/simulations/setting"
)

func (s *Scenario) drawn(_ uint64, scale Scale) (*setting.Setting, error) {
	if scale.Nodes != 0 {
		return nil, fmt.Errorf("scenario %s: each seed decides how many nodes there are; leave out the number, or choose another scenario", s.Name())
	}
	return nil, errors.New("not yet")
}
