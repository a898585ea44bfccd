package actions

import (
	"testing"
	"time"

	"github.com/buildnet/buildnet/sched/action"
	"github.com/buildnet/buildnet/store/digest"
)

func TestWhatIsDroppedWhileItIsPutIsNotThere(t *testing.T) {
	now := time.Now()
	e := action.Entry{Action: digest.Of(digest.BLAKE3, []byte("a"))}
	for name, drop := range map[string]func(*latest){
		"dropped": func(l *latest) { l.drop(e.Action) },
		"cleared": (*latest).clear,
		"kept":    func(*latest) {},
	} {
		var l latest
		l.drop(e.Action) // before
		drops := l.dropped()
		drop(&l)
		l.add(e, now, drops)
		if got := l.has(&e, now); got != (name == "kept") {
			t.Errorf("%s: it counts as there: %v", name, got)
		}
	}
}
