package disk

import (
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// pushAfter bounds how long a write without a sync is in this process's memory
// alone. pebble hands the last block of its log to the system when it is full
// or synced, and not before: without pushes kill -9 would lose all that a small
// build has finished.
const pushAfter = 50 * time.Millisecond

// pushSoon follows every write without a sync.
func (s *Store) pushSoon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.pushing {
		return
	}
	s.pushing = true
	s.asides.Add(1)
	time.AfterFunc(pushAfter, s.push)
}

func (s *Store) push() {
	defer s.asides.Done()
	s.mu.Lock()
	s.pushing = false
	s.mu.Unlock()
	if err := s.Push(); err != nil {
		s.log.Warn("the latest writes are lost if this process is killed now", "error", err)
	}
}

// Push implements store.Pusher. Those who push at the same time share one write.
func (s *Store) Push() error {
	if err := s.db.LogData(nil, pebble.Sync); err != nil { // see walFile
		return fmt.Errorf("hand over what was written: %w", full(err))
	}
	return nil
}
