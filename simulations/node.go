package simulations

import (
	"context"

	"github.com/buildnet/buildnet/simulations/setting"
)

type world struct{}

func newWorld(*setting.Setting, Options) (*world, error) { return &world{}, nil }

func (w *world) run(context.Context) *Outcome { return &Outcome{} }
