package sched_test

import "github.com/buildnet/buildnet/sched/action"

// executions counts the runs that brought a result, by step.
func (w *world) executions() map[action.StepID]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := map[action.StepID]int{}
	for _, r := range w.runs {
		if r.ended {
			n[r.job.Step]++
		}
	}
	return n
}

func (w *world) busy() int {
	n := 0
	for _, m := range w.nodes {
		m.mu.Lock()
		n += m.busy
		m.mu.Unlock()
	}
	return n
}
