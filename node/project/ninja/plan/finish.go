package plan

import (
	"cmp"
	"maps"
	"slices"

	"github.com/buildnet/buildnet/node/project/ninja"
)

// Failed tells that an edge has failed: its pool is free for another. What needs
// its outputs will never be ready.
func (p *Plan) Failed(e *ninja.Edge) { p.free(e) }

// free makes room in the pool of an edge that had been handed out.
func (p *Plan) free(e *ninja.Edge) {
	pl := p.pool(e)
	if p.scan.step(e).want != passed {
		pl.used--
	}
	pl.release(&p.ready)
}

// Finished tells that an edge has succeeded, and schedules what is ready now. If
// an output is a dyndep file that somebody waits for, it is loaded.
func (p *Plan) Finished(e *ninja.Edge) error {
	p.free(e)
	st := p.scan.step(e)
	if st.want != passed {
		p.wanted--
	}
	st.want, st.ready = absent, true
	for _, o := range e.Outputs {
		if err := p.made(o); err != nil {
			return err
		}
	}
	return nil
}

// made goes on with what waits for a node.
func (p *Plan) made(n *ninja.Node) error {
	if n.DyndepPending {
		return p.loadDyndep(n)
	}
	for _, e := range n.Out {
		if err := p.maybeReady(e); err != nil {
			return err
		}
	}
	return nil
}

// maybeReady schedules an edge of the plan whose inputs are all there.
func (p *Plan) maybeReady(e *ninja.Edge) error {
	st := p.scan.step(e)
	if st.want == absent || !p.inputsReady(e) {
		return nil
	}
	if st.want == passed {
		// It need not run, but what depends on it may have to.
		return p.Finished(e)
	}
	p.schedule(e, st)
	return nil
}

// Restat looks at the outputs that an edge has just made, to be called between
// the command's success and Finished. If the rule says restat, whatever waited
// only for outputs that did not change is wanted no longer. It returns the mtime
// to record for the outputs.
func (p *Plan) Restat(e *ninja.Edge) (mtime int64, err error) {
	restat, err := e.Restat()
	if err != nil {
		return 0, err
	}
	cleaned := false
	for _, o := range e.Outputs {
		now, err := p.scan.files.Stat(o.Path)
		if err != nil {
			return 0, err
		}
		mtime = max(mtime, now)
		// An output that was not there and still is not has not changed either.
		if restat && p.scan.file(o).time() == now {
			cleaned = true
			if err := p.clean(o); err != nil {
				return 0, err
			}
		}
	}
	if !cleaned {
		return mtime, nil
	}
	return p.newestInput(e)
}

// newestInput is the mtime of the newest input that counts, or of the depfile.
func (p *Plan) newestInput(e *ninja.Edge) (newest int64, err error) {
	for _, in := range e.NonOrderOnlyIns() {
		mtime, err := p.scan.files.Stat(in.Path)
		if err != nil {
			return 0, err
		}
		newest = max(newest, mtime)
	}
	kind, err := e.Deps()
	if err != nil || newest == 0 || kind != "" {
		return newest, err
	}
	path, err := e.Depfile()
	if err != nil || path == "" {
		return newest, err
	}
	mtime, err := p.scan.files.Stat(path)
	return max(newest, mtime), err
}

// clean says that a node is not dirty after all, and with it whatever was dirty
// for no other reason.
func (p *Plan) clean(n *ninja.Node) error {
	p.scan.file(n).dirty = false
	for _, e := range n.Out {
		st := p.scan.step(e)
		if st.want == absent || st.want == passed || st.depsMissing {
			continue
		}
		newest, dirty := p.newestClean(e)
		if dirty {
			continue
		}
		if dirty, err := p.scan.outputsDirty(e, newest); dirty || err != nil {
			if err != nil {
				return err
			}
			continue
		}
		for _, o := range e.Outputs {
			if err := p.clean(o); err != nil {
				return err
			}
		}
		st.want = passed
		p.wanted--
		if !e.Phony() {
			p.commands--
		}
	}
	return nil
}

// newestClean returns the newest input that counts, unless one is dirty.
func (p *Plan) newestClean(e *ninja.Edge) (newest *ninja.Node, dirty bool) {
	for _, in := range e.NonOrderOnlyIns() {
		if p.scan.file(in).dirty {
			return nil, true
		}
		if newest == nil || p.scan.file(in).time() > p.scan.file(newest).time() {
			newest = in
		}
	}
	return newest, false
}

// edgeSet is ranged over in the manifest's order only.
type edgeSet map[*ninja.Edge]bool

func (s edgeSet) sorted() []*ninja.Edge {
	return slices.SortedFunc(maps.Keys(s), func(a, b *ninja.Edge) int { return cmp.Compare(a.ID, b.ID) })
}
