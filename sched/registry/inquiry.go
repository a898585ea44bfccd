package registry

import (
	"context"
	"slices"
	"sync"

	"github.com/buildnet/buildnet/mesh/peer"
	"github.com/buildnet/buildnet/sched/schedpb"
)

// inquiry is questions that are open at members, for one who waits for them. It
// is woken for an answer that says something, and when none is owed any more:
// most owners know nothing of an action.
type inquiry struct {
	news chan struct{} // holds one token while there is something to look at
	// grants says that a claim which is given is news before the rest is there.
	grants bool

	mu   sync.Mutex
	open []asked
	told []result
}

// asked is a question, by where it was asked.
type asked struct {
	lane   *lane
	number uint64
}

// result is what came of a question.
type result struct {
	asked
	answer *schedpb.Answer
	err    error
}

func newInquiry() *inquiry { return &inquiry{news: make(chan struct{}, 1)} }

func (i *inquiry) add(a asked) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.open = append(i.open, a)
}

// answered takes what came of a question. It does not block.
func (i *inquiry) answered(r result) {
	i.mu.Lock()
	at := slices.Index(i.open, r.asked)
	if at >= 0 {
		i.open = slices.Delete(i.open, at, at+1)
		i.told = append(i.told, r)
	}
	wake := at >= 0 && (len(i.open) == 0 || r.says(i.grants))
	i.mu.Unlock()
	if wake {
		select {
		case i.news <- struct{}{}:
		default:
		}
	}
}

// says reports whether anything follows from the result before the others are
// there.
func (r *result) says(grants bool) bool {
	if r.err != nil {
		return true
	}
	v := verdict(min(r.answer.GetVerdict(), uint32(verdictRefused)))
	return v == verdictFound || v == verdictRefused || grants && v == verdictGranted
}

// take returns what has come since the last call, and how many answers are owed.
func (i *inquiry) take() (told []result, open int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	told, i.told = i.told, nil
	return told, len(i.open)
}

// awaitGrant has a claim that is given be news from now on.
func (i *inquiry) awaitGrant() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.grants = true
}

// drop waits for nothing any more.
func (i *inquiry) drop() {
	i.mu.Lock()
	open := i.open
	i.open = nil
	i.mu.Unlock()
	for _, a := range open {
		a.lane.drop(a.number)
	}
}

// all waits for all answers, and returns those that came before ctx ended.
func (i *inquiry) all(ctx context.Context) []result {
	var all []result
	for {
		told, open := i.take()
		all = append(all, told...)
		if open == 0 {
			return all
		}
		select {
		case <-ctx.Done():
			told, _ = i.take()
			i.drop()
			return append(all, told...)
		case <-i.news:
		}
	}
}

// ask puts a question to a peer. Its answer comes to the inquiry, unless there is
// none.
func (l *lanes) ask(id peer.ID, q *schedpb.Question, h haste, i *inquiry) (asked, error) {
	c, err := l.to(id)
	if err != nil {
		return asked{}, err
	}
	return c.ask(q, h, i)
}
