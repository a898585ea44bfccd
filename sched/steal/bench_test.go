package steal

import (
	"fmt"
	"testing"
	"time"

	"github.com/buildnet/buildnet/mesh/peer"
)

// BenchmarkLeader is what one step costs a leader of so many workers with two
// slots each, all of which are busy all the time: its resolving, its assignment,
// its Started, its report and its log. A beat is a tick of the leader with the
// answers of all.
func BenchmarkLeader(b *testing.B) {
	for _, workers := range []int{8, 64, 511} {
		b.Run(fmt.Sprintf("%d", workers), func(b *testing.B) { benchmarkLeader(b, workers) })
	}
}

func benchmarkLeader(b *testing.B, workers int) {
	const steps = 10000
	var p *paper
	done := steps
	for b.Loop() {
		if done+workers >= steps {
			b.StopTimer()
			p = crowd(b, steps, workers)
			done = 0
			b.StartTimer()
		}
		id := p.l.order[1+done%workers].id
		for len(p.given[id]) == 0 {
			p.passes(BeatEvery)
		}
		p.now = p.now.Add(time.Second / time.Duration(2*workers))
		s := p.starts(id)
		p.reports(id, s, Failure{})
		p.wants(2, id)
		p.sent = p.sent[:0]
		done++
	}
}

// crowd is a leader of many, all of whom have asked for steps.
func crowd(b *testing.B, steps, workers int) *paper {
	p := ruleOf(b, steps, workers+1, func(i int) peer.ID { return peer.ID(fmt.Sprintf("peer%d", i)) })
	for _, m := range p.l.order[1:] {
		p.wants(4, m.id)
	}
	return p
}

// BenchmarkBeat is a tick of a leader, and the answers of all.
func BenchmarkBeat(b *testing.B) {
	for _, workers := range []int{64, 511} {
		b.Run(fmt.Sprintf("%d", workers), func(b *testing.B) {
			p := crowd(b, 10000, workers)
			for b.Loop() {
				p.passes(BeatEvery)
				p.sent = p.sent[:0]
			}
		})
	}
}
