package claim_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/buildnet/buildnet/sched/claim"
	"github.com/buildnet/buildnet/store/digest"
)

var start = time.Unix(1_000_000, 0)

func name(s string) digest.Digest { return digest.Of(digest.BLAKE3, []byte(s)) }

func who(s claim.Session, b claim.Build) claim.Claimant {
	return claim.Claimant{Session: s, Build: b}
}

func want(t *testing.T, what string, got, want claim.Verdict) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func tickets(t *testing.T, what string, got []claim.Ticket, want ...claim.Ticket) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: tickets %v, want %v", what, got, want)
	}
}

func TestSecondBuildWaitsForTheFirst(t *testing.T) {
	c, a := claim.NewTable(), name("a")
	want(t, "first", c.Claim(start, a, who(1, "x"), 1), claim.Granted)
	want(t, "second", c.Claim(start, a, who(2, "y"), 2), claim.Waiting)
	want(t, "third", c.Claim(start, a, who(3, "z"), 3), claim.Waiting)
	want(t, "another action", c.Claim(start, name("b"), who(2, "y"), 4), claim.Granted)
	tickets(t, "release by one who waits", c.Release(start, a, who(3, "q")).Granted)
	tickets(t, "release", c.Release(start, a, who(1, "x")).Granted, 2)
	tickets(t, "result", c.Publish(a), 3)
	want(t, "after the result", c.Claim(start, a, who(4, "w"), 5), claim.Granted)
}

func TestNextLeaderOfABuildTakesItsClaimsOver(t *testing.T) {
	c, a := claim.NewTable(), name("a")
	want(t, "old leader", c.Claim(start, a, who(1, "x"), 1), claim.Granted)
	want(t, "other build", c.Claim(start, a, who(2, "y"), 2), claim.Waiting)
	want(t, "new leader", c.Claim(start, a, who(3, "x"), 3), claim.Granted)
	tickets(t, "end of the old one", c.Gone(start, 1).Granted)
	tickets(t, "release by the old one", c.Release(start, a, who(1, "x")).Granted)
	tickets(t, "release by the new one", c.Release(start, a, who(3, "x")).Granted, 2)
}

func TestWaitsOfOneBuildAreGrantedTogether(t *testing.T) {
	c, a := claim.NewTable(), name("a")
	want(t, "first", c.Claim(start, a, who(1, "x"), 1), claim.Granted)
	want(t, "second", c.Claim(start, a, who(2, "y"), 2), claim.Waiting)
	want(t, "third", c.Claim(start, a, who(3, "z"), 3), claim.Waiting)
	want(t, "second again", c.Claim(start, a, who(4, "y"), 4), claim.Waiting)
	tickets(t, "release", c.Release(start, a, who(1, "x")).Granted, 2, 4)
}

func TestSilentSessionLosesItsClaims(t *testing.T) {
	c, a := claim.NewTable(), name("a")
	want(t, "silent", c.Claim(start, a, who(1, "x"), 1), claim.Granted)
	want(t, "waiting", c.Claim(start, a, who(2, "y"), 2), claim.Waiting)
	want(t, "own", c.Claim(start, name("b"), who(claim.Own, "o"), 3), claim.Granted)
	now := start.Add(claim.Lease / 2)
	c.Renew(now, 1)
	c.Renew(now, 2)
	now = start.Add(claim.Lease)
	c.Renew(now, 2)
	tickets(t, "renewed", c.Tick(now).Granted)
	tickets(t, "silent", c.Tick(start.Add(claim.Lease*3/2)).Granted, 2)
	want(t, "own goes on", c.Claim(now, name("b"), who(7, "p"), 4), claim.Waiting)
}

func TestEndOfASessionDropsItsWaits(t *testing.T) {
	c, a := claim.NewTable(), name("a")
	want(t, "first", c.Claim(start, a, who(1, "x"), 1), claim.Granted)
	want(t, "second", c.Claim(start, a, who(2, "y"), 2), claim.Waiting)
	tickets(t, "dropped", c.Gone(start, 2).Dropped, 2)
	tickets(t, "nobody waits", c.Release(start, a, who(1, "x")).Granted)
	if c.Len() != 0 || c.Holds(1) || c.Holds(2) {
		t.Error("something is left")
	}
}

func TestWhoAsksNobodyIsNotWaitedFor(t *testing.T) {
	alone := func(b claim.Build) claim.Claimant { return claim.Claimant{Build: b, Alone: true} }
	c, a := claim.NewTable(), name("a")
	want(t, "alone", c.Claim(start, a, alone("x"), 1), claim.Granted)
	want(t, "of another member", c.Claim(start, a, who(2, "y"), 2), claim.Granted)
	want(t, "alone as well", c.Claim(start, a, alone("z"), 3), claim.Waiting)
	want(t, "of a third member", c.Claim(start, a, who(3, "w"), 4), claim.Waiting)
	tickets(t, "release by the first", c.Release(start, a, alone("x")).Granted, 3)
	want(t, "alone again", c.Claim(start, a, alone("x"), 5), claim.Waiting)
	tickets(t, "the result is for all", c.Publish(a), 4, 5)
	if c.Len() != 0 || c.Holds(claim.Own) {
		t.Error("something is left")
	}
}

func TestBeyondTheLimitsThereAreNoClaims(t *testing.T) {
	c, a := claim.NewTable(), name("a")
	want(t, "first", c.Claim(start, a, who(1, "x"), 0), claim.Granted)
	for i := range claim.MaxWaiters {
		c.Claim(start, a, who(claim.Session(i+2), claim.Build(fmt.Sprint(i))), claim.Ticket(i))
	}
	want(t, "one more", c.Claim(start, a, who(1<<20, "last"), 1<<20), claim.Unkept)
	for i := range claim.MaxSession {
		c.Claim(start, digest.Of(digest.BLAKE3, []byte{byte(i), byte(i >> 8)}), who(1<<21, "many"), 0)
	}
	want(t, "of one session", c.Claim(start, name("more"), who(1<<21, "many"), 0), claim.Unkept)
}

// A claim has one build, every wait ends once, and nothing is left in the end.
func TestWhateverHappensNobodyIsForgotten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := claim.NewTable()
		now := start
		open := map[claim.Ticket]bool{}
		next := claim.Ticket(0)
		end := func(list []claim.Ticket) {
			for _, ticket := range list {
				if !open[ticket] {
					t.Fatalf("ticket %d is answered, but does not wait", ticket)
				}
				delete(open, ticket)
			}
		}
		claimant := rapid.Custom(func(t *rapid.T) claim.Claimant {
			return claim.Claimant{
				Session: claim.Session(rapid.Uint64Range(0, 3).Draw(t, "session")),
				Build:   rapid.SampledFrom([]claim.Build{"x", "y", "z"}).Draw(t, "build"),
				Alone:   rapid.Bool().Draw(t, "alone"),
			}
		})
		act := rapid.SampledFrom([]digest.Digest{name("a"), name("b")})
		t.Repeat(map[string]func(*rapid.T){
			"claim": func(t *rapid.T) {
				next++
				if c.Claim(now, act.Draw(t, "action"), claimant.Draw(t, "who"), next) == claim.Waiting {
					open[next] = true
				}
			},
			"release": func(t *rapid.T) {
				out := c.Release(now, act.Draw(t, "action"), claimant.Draw(t, "who"))
				end(out.Granted)
				end(out.Dropped)
			},
			"publish": func(t *rapid.T) { end(c.Publish(act.Draw(t, "action"))) },
			"gone": func(t *rapid.T) {
				out := c.Gone(now, claim.Session(rapid.Uint64Range(0, 3).Draw(t, "session")))
				end(out.Granted)
				end(out.Dropped)
			},
			"renew": func(t *rapid.T) { c.Renew(now, claim.Session(rapid.Uint64Range(0, 3).Draw(t, "session"))) },
			"tick": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 6000).Draw(t, "ms")) * time.Millisecond)
				out := c.Tick(now)
				end(out.Granted)
				end(out.Dropped)
			},
		})
		for s := range claim.Session(4) {
			out := c.Gone(now, s)
			end(out.Granted)
			end(out.Dropped)
		}
		if len(open) > 0 || c.Len() > 0 {
			t.Fatalf("%d waits and %d claims are left", len(open), c.Len())
		}
	})
}
