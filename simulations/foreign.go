package simulations

import "github.com/buildnet/buildnet/store/digest"

func (n *node) foreign(a digest.Digest, done func(*known)) { done(nil) }
func (n *node) foreignHolders(b *blob, done func([]int))   { done(nil) }
func (n *node) record(*build, *known)                      {}
func (n *node) advertise(*blob)                            {}
func (n *node) fetchLarge(f *fetching, b *blob) {
	s := &smalls{fetching: f, wants: []*want{{blob: b}}}
	s.add(f.hints)
	s.drain()
}
