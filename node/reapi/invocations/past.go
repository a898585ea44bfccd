package invocations

import (
	"sync"
	"time"

	"github.com/buildnet/buildnet/store/history"
)

// past is the invocations that are written down, which are found without a search.
type past struct {
	history *history.History

	// mu is held over the I/O of read.
	mu    sync.Mutex
	begun map[string]time.Time // by ID; nil before it was read
}

// find returns what is written down of an invocation.
func (p *past) find(id string) (history.Record, bool) {
	p.mu.Lock()
	if p.begun == nil {
		p.read()
	}
	at, ok := p.begun[id]
	p.mu.Unlock()
	if !ok {
		return history.Record{}, false
	}
	r, err := p.history.At(at, id)
	return r, err == nil
}

// put writes a record down.
func (p *past) put(r history.Record) error {
	if err := p.history.Put(r); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.begun == nil || len(p.begun) >= 2*history.MaxBuilds {
		p.read()
	}
	p.begun[r.ID] = r.Started
	return nil
}

// read is called with mu held: once, and then for each so many.
func (p *past) read() {
	p.begun = map[string]time.Time{}
	records, _ := p.history.List(0) // what cannot be read begins anew
	for _, r := range records {
		if _, newer := p.begun[r.ID]; !newer {
			p.begun[r.ID] = r.Started
		}
	}
}
