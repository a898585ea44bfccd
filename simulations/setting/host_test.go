package setting_test

import (
	"math"
	"testing"

	"github.com/buildnet/buildnet/simulations/setting"
)

func TestActionsShareTheCoresOfAHost(t *testing.T) {
	for name, c := range map[string]struct {
		host        setting.Host
		own, others int
		each, lent  float64
	}{
		"there are enough":                   {setting.Host{Cores: 4, Lent: 0.1}, 2, 2, 1, 1},
		"nobody runs":                        {setting.Host{Cores: 0.5, Lent: 0.1}, 0, 0, 1, 1},
		"all get as much":                    {setting.Host{Cores: 2}, 2, 2, 0.5, 0.5},
		"others get a tenth":                 {setting.Host{Cores: 1.1, Lent: 0.1}, 1, 10, 0.55, 0.055},
		"others get all that the own leave":  {setting.Host{Cores: 2, Lent: 0.1}, 1, 4, 1, 0.25},
		"others are alone":                   {setting.Host{Cores: 2, Lent: 0.1}, 0, 4, 1, 0.5},
		"half a core for one of the own":     {setting.Host{Cores: 0.5, Lent: 0.1}, 1, 0, 0.5, 0.05},
		"none gets more than a whole core":   {setting.Host{Cores: 2.5, Lent: 0.5}, 2, 1, 1, 0.5},
		"the last core is for the only step": {setting.Host{Cores: 1, Lent: 0.1}, 0, 1, 1, 1},
	} {
		each, lent := c.host.Shares(c.own, c.others)
		if c.own > 0 && math.Abs(each-c.each) > 1e-9 || c.others > 0 && math.Abs(lent-c.lent) > 1e-9 {
			t.Errorf("%s: %v and %v, want %v and %v", name, each, lent, c.each, c.lent)
		}
		if used := float64(c.own)*each + float64(c.others)*lent; used > c.host.Cores+1e-9 && float64(c.own+c.others) > c.host.Cores {
			t.Errorf("%s: %v cores are used of %v", name, used, c.host.Cores)
		}
	}
}
