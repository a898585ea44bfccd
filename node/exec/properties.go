package exec

import (
	"fmt"
	"os"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"

	"github.com/buildnet/buildnet/sched/action"
)

// properties are what a tree says of a node besides its content.
type properties struct{ action.Properties }

func propertiesOf(m *repb.NodeProperties) (properties, error) {
	p, err := action.PropertiesOf(m)
	if err != nil {
		return properties{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return properties{p}, nil
}

// mode is what a file gets: what is said, also where its executable bit is not as that.
func (p properties) mode(executable bool) os.FileMode {
	switch {
	case p.HasMode:
		return os.FileMode(p.Mode)
	case executable:
		return 0o755
	default:
		return 0o644
	}
}

func (p properties) time() time.Time {
	if p.HasMTime {
		return p.Time()
	}
	return fixedTime
}

// apply gives a directory its mode and its time.
func (p properties) apply(at string) error {
	if p.HasMode {
		if err := os.Chmod(at, os.FileMode(p.Mode)); err != nil {
			return err
		}
	}
	return setTime(at, p.time())
}
