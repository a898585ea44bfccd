package share_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/buildnet/buildnet/node/reapi/share"
)

// greedy takes all that a client gets, one by one.
func greedy(p *share.Pool, client string) {
	for p.Free(client) >= 1 {
		p.Add(client, 1)
	}
}

func TestOneClientAloneGetsHalf(t *testing.T) {
	p := share.New(1000)
	greedy(p, "a")
	if p.Of("a") != 500 || p.Used() != 500 {
		t.Errorf("it has %d of %d", p.Of("a"), p.Used())
	}
}

func TestWhoComesFindsSomeHoweverManyAreGreedy(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const whole = 10_000
		p := share.New(whole)
		clients := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]{3}`), 1, 9, rapid.ID).Draw(t, "clients")
		for range 3 { // in turn, and again when others have come
			for _, c := range clients {
				greedy(p, c)
			}
		}
		if free, want := p.Free("newcomer"), int64(whole/(1<<len(clients))); free < want {
			t.Errorf("%d greedy clients leave %d of %d", len(clients), free, whole)
		}
		for _, c := range clients {
			p.Add(c, -p.Of(c))
		}
		if p.Used() != 0 || p.Largest() != "" || p.Free("newcomer") != whole {
			t.Errorf("when all was given back: used %d, largest %q", p.Used(), p.Largest())
		}
	})
}

func TestTheLargestIsWhoHasMost(t *testing.T) {
	p := share.New(100)
	p.Add("a", 10)
	p.Add("b", 30)
	p.Add("c", 30)
	if p.Largest() != "b" {
		t.Errorf("the largest is %q", p.Largest())
	}
	p.Move("b", "a", 25)
	if p.Largest() != "a" || p.Of("a") != 35 || p.Of("b") != 5 || p.Used() != 70 {
		t.Errorf("the largest is %q, a has %d, b %d, all %d", p.Largest(), p.Of("a"), p.Of("b"), p.Used())
	}
}
