package membership

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/buildnet/buildnet/simulations/setting"
)

func all(n int) []bool {
	there := make([]bool, n)
	for i := range there {
		there[i] = true
	}
	return there
}

// gossip spreads a rumour by rounds, losing some of what is sent, and returns
// how many members believe it and how many rounds that took.
func gossip(c *Cell, about int, r Rumour, first int, loss float64, chance *rand.Rand) (know, rounds int) {
	m := setting.StandardMembership()
	left := map[int]int{}
	if c.Hear(first, about, r) {
		left[first], know = c.Rounds(&m), 1
	}
	for ; len(left) > 0; rounds++ {
		for member := range c.Len() {
			if left[member] == 0 {
				continue
			}
			for range m.Fanout {
				if to := c.Pick(member, chance); chance.Float64() >= loss && c.Hear(to, about, r) {
					left[to] = c.Rounds(&m) + 1
					know++
				}
			}
			if left[member]--; left[member] == 0 {
				delete(left, member)
			}
		}
	}
	return know, rounds
}

func TestARumourReachesEverybodyInAFewRounds(t *testing.T) {
	for _, loss := range []float64{0, 0.1, 0.3} {
		c := New(all(200))
		know, rounds := gossip(c, 7, Dead(1), 3, loss, rand.New(rand.NewPCG(1, 1)))
		if know < 197 { // all but the dead one, and a straggler or two
			t.Errorf("loss %v: %d of 199 members know", loss, know)
		}
		m := setting.StandardMembership()
		if limit := c.Rounds(&m) + 6; rounds > limit { // each round about triples those who know
			t.Errorf("loss %v: it was passed on for %d rounds, want at most %d", loss, rounds, limit)
		}
		for member := range c.Len() {
			if member != 7 && c.Believes(member, 8) != true {
				t.Errorf("member %d believes ill of one that nobody spoke of", member)
			}
		}
	}
}

func TestTheGreaterRumourHoldsInWhicheverOrderTheyCome(t *testing.T) {
	rumours := []Rumour{Alive(1), Dead(1), Alive(2), Dead(2), Alive(3)}
	chance := rand.New(rand.NewPCG(2, 2))
	for range 50 {
		c := New(all(3))
		for range 3 { // each comes more than once
			for _, i := range chance.Perm(len(rumours)) {
				c.Hear(0, 1, rumours[i])
			}
		}
		if got := c.Of(0, 1); got != Alive(3) {
			t.Fatalf("it believes %v; want %v", got, Alive(3))
		}
	}
}

func TestWhoHearsThatItIsDeadSaysOtherwise(t *testing.T) {
	c := New(all(3))
	c.Hear(0, 1, Dead(1))
	own := c.Refute(1, Dead(1))
	if own != Alive(2) {
		t.Fatalf("it says %v; want %v", own, Alive(2))
	}
	if again := c.Refute(1, Dead(1)); again != Unknown {
		t.Errorf("a stale rumour is answered with %v", again)
	}
	if !c.Hear(0, 1, own) || !c.Believes(0, 1) {
		t.Error("the refutation is not believed")
	}
}

func TestANewcomerKnowsNobodyUntilItMeetsSomebody(t *testing.T) {
	c := New([]bool{true, true, true, false})
	if c.Believes(0, 3) || c.Believes(3, 0) || !c.Believes(3, 3) {
		t.Error("before it comes it is known, or knows")
	}
	c.Hear(0, 1, Dead(1))
	own := c.Return(3)
	c.Meet(3, 0)
	if c.Believes(3, 1) || !c.Believes(3, 2) || !c.Believes(3, 0) {
		t.Error("it does not believe what its contact does")
	}
	if !c.Hear(0, 3, own) || !c.Believes(0, 3) {
		t.Error("its contact does not believe that it has come")
	}
	again := c.Return(3)
	if again <= Dead(own.Incarnation()) {
		t.Errorf("a new life says %v, which is less than the death of the one before", again)
	}
}

func TestBytesGrowWithTheMembersAndSlowerThanThey(t *testing.T) {
	m := setting.StandardMembership()
	few, many := Bytes(&m, 30), Bytes(&m, 300)
	if many <= few || many > 10*few {
		t.Errorf("%v bytes a second among 30, %v among 300", few, many)
	}
	if got, want := Exchange(&m, 300), 5*30*time.Second; got != want.Seconds() {
		t.Errorf("full states among 300 every %v s; want %v", got, want)
	}
}
