package toolchain

import (
	"testing"

	"github.com/buildnet/buildnet/store/memory"
)

// BenchmarkFirstLook is of a node that knows nothing of its machine yet, whose first client
// asks for both.
func BenchmarkFirstLook(b *testing.B) {
	for _, specs := range [][]Spec{{{Spec: "host"}}, {{Spec: "host"}, {Spec: "host+native"}}, {{Spec: "link:c++"}}} {
		b.Run(specs[len(specs)-1].Spec, func(b *testing.B) {
			for b.Loop() {
				p := New(Options{KV: &memory.KV{}})
				for _, s := range specs {
					if _, err := p.Digest(b.Context(), s); err != nil {
						b.Skip(err)
					}
				}
			}
		})
	}
}
