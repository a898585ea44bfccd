package setting

import "time"

// StandardMembership is what the real node's membership was measured to do
// under virtual time, in meshes of 5 to 100 (simulations/stack, TestMeasure...;
// docs/simulation.md has the table). Gossip, Fanout and PushPull are the
// constants of memberlist's LAN configuration, which mesh/serf.go leaves.
func StandardMembership() Membership {
	return Membership{
		DetectLeast: 4400 * time.Millisecond, DetectMost: 8400 * time.Millisecond,
		Gossip: 200 * time.Millisecond, Fanout: 3,
		IdleBytes: 900, PushPull: 30 * time.Second, StateBytes: 200, ChangeBytes: 255,
	}
}

// StandardLookup is kad-dht as package dht/kad sets it up.
func StandardLookup() Lookup {
	return Lookup{Bucket: 20, Parallel: 10, Work: 2 * time.Millisecond, Timeout: 5 * time.Second}
}

// StandardOverheads is where the real node's time goes around a small action
// (docs/performance.md).
func StandardOverheads() Overheads {
	span := func(least, most float64) Span {
		return Span{time.Duration(least * float64(time.Millisecond)), time.Duration(most * float64(time.Millisecond))}
	}
	return Overheads{
		Resolve: span(0.1, 0.5), Prepare: span(4, 10), Start: span(4, 8), Store: span(0.2, 2), Secure: span(0.2, 1),
		Plan: span(10, 50), Place: span(1, 10),
	}
}
