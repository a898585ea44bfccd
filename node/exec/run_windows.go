package exec

import "context"

func (e *Executor) run(context.Context, launch, func()) (outcome, error) {
	return outcome{}, ErrUnsupported
}
