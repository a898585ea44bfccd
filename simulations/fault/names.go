package fault

import "slices"

// grammar is what a line of each kind may say.
type grammar struct {
	name                  string
	target, lasts, factor bool
	mustLast              bool
	example               string
}

var kinds = [...]grammar{
	Kill:      {name: "kill", target: true, lasts: true, example: "kill leader@50% for 5s"},
	Restart:   {name: "restart", target: true, example: "restart node 3 at 9s"},
	Leave:     {name: "leave", target: true, example: "leave node 4 at 3s"},
	Split:     {name: "split", target: true, lasts: true, example: "split 1 2 at 3s for 4s one-way"},
	Slow:      {name: "slow", target: true, lasts: true, factor: true, example: "slow worker by 10 at 1s"},
	Clog:      {name: "clog", target: true, lasts: true, factor: true, example: "clog node 2 to 1% at 1s for 10s"},
	Stall:     {name: "stall", target: true, lasts: true, mustLast: true, example: "stall leader at 2s for 3s"},
	Break:     {name: "break", target: true, example: "break node 2 at 1s"},
	FailDisk:  {name: "fail-disk", target: true, lasts: true, factor: true, example: "fail-disk node 1 to 20% at 0s"},
	LoseBlobs: {name: "lose-blobs", target: true, example: "lose-blobs holder@30%"},
	Cancel:    {name: "cancel", example: "cancel build 0 at 2s"},
	Heal:      {name: "heal", example: "heal at 9s"},
	Claim:     {name: "claim", target: true, lasts: true, factor: true, example: "claim node 2 to 50% at 1s for 5s"},
}

var roles = [...]string{
	Node: "node", Leader: "leader", Standby: "standby", SecondStandby: "second-standby", Worker: "worker",
	Holder: "holder", Initiator: "initiator",
}

// String returns the kind as a line begins with it.
func (k Kind) String() string {
	if int(k) >= len(kinds) || k == 0 {
		return "unknown"
	}
	return kinds[k].name
}

// String returns the role as a line names it.
func (r Role) String() string {
	if int(r) >= len(roles) {
		return "unknown"
	}
	return roles[r]
}

func kindOf(word string) (Kind, bool) {
	i := slices.IndexFunc(kinds[1:], func(g grammar) bool { return g.name == word })
	return Kind(i + 1), i >= 0
}

func roleOf(word string) (Role, bool) {
	i := slices.Index(roles[:], word)
	return Role(max(i, 0)), i >= 0
}
