// Package share divides what there is of something among clients, so that whoever
// comes finds some. It is pure. Start reading at Pool.Free.
package share

// Pool is an amount of something, in any unit, parts of which clients have. Its
// methods may not be called concurrently.
//
// The rule is that of dynamic thresholds (Choudhury and Hahne, Dynamic queue length
// thresholds for shared-memory packet switches, 1998): a client may have as much as
// is left. One alone gets half; where n want all that they can get, each has an
// (n+1)th, and so has the next one who asks.
type Pool struct {
	max, used int64
	of        map[string]int64
}

// New returns a Pool of so much.
func New(whole int64) *Pool { return &Pool{max: whole, of: map[string]int64{}} }

// Max is the whole.
func (p *Pool) Max() int64 { return p.max }

// Used is what all have.
func (p *Pool) Used() int64 { return p.used }

// Of is what a client has.
func (p *Pool) Of(client string) int64 { return p.of[client] }

// Free is how much more a client may take; negative if it has more than its share.
func (p *Pool) Free(client string) int64 { return p.max - p.used - p.of[client] }

// Add gives n to a client, or takes it back if n is negative, whether that is free or
// not.
func (p *Pool) Add(client string, n int64) {
	p.used += n
	if p.of[client] += n; p.of[client] == 0 {
		delete(p.of, client)
	}
}

// Move makes n of one client's another's.
func (p *Pool) Move(from, to string, n int64) {
	p.Add(from, -n)
	p.Add(to, n)
}

// Largest is who has most; of several who have as much the first by name. It is "" if
// nobody has anything.
func (p *Pool) Largest() string {
	largest, has := "", int64(0)
	for client, n := range p.of {
		if n > has || n == has && client < largest {
			largest, has = client, n
		}
	}
	return largest
}
