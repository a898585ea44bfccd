package remake_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/buildnet/buildnet/node/reapi/remake"
	"github.com/buildnet/buildnet/store/digest"
	"github.com/buildnet/buildnet/store/makers"
	"github.com/buildnet/buildnet/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// mesh executes actions of a second each.
type mesh struct {
	table *makers.Makers
	*remake.Remaker

	mu           sync.Mutex
	there        map[digest.Digest]bool
	reads, makes map[digest.Digest][]digest.Digest
	runs         map[digest.Digest]int
	going, most  int
	broken       map[digest.Digest]error
	cancelled    int
}

// lacks is what an action lacks.
type lacks []digest.Digest

func (lacks) Error() string              { return "blobs are missing" }
func (l lacks) Missing() []digest.Digest { return l }

func of(kind string, n int) digest.Digest {
	return digest.Of(digest.SHA256, fmt.Append(nil, kind, n))
}

func newMesh(t *testing.T) *mesh {
	m := &mesh{
		table: makers.New(&memory.KV{}), there: map[digest.Digest]bool{}, runs: map[digest.Digest]int{}, broken: map[digest.Digest]error{},
		reads: map[digest.Digest][]digest.Digest{}, makes: map[digest.Digest][]digest.Digest{},
	}
	m.Remaker = remake.New(remake.Options{Makers: m.table.Of, Has: m.has, Execute: m.execute})
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := m.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { stop(); running.Wait() })
	return m
}

// action adds one, that has been executed once.
func (m *mesh) action(t *testing.T, n int, reads, makes []digest.Digest) {
	t.Helper()
	act := of("action", n)
	m.reads[act], m.makes[act] = reads, makes
	if err := m.table.Note(makers.Maker{Action: act}, makes...); err != nil {
		t.Fatal(err)
	}
}

func (m *mesh) has(_ context.Context, ds []digest.Digest) ([]bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	has := make([]bool, len(ds))
	for i, d := range ds {
		has[i] = m.there[d]
	}
	return has, nil
}

func (m *mesh) execute(ctx context.Context, by makers.Maker) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var missing lacks
	for _, d := range m.reads[by.Action] {
		if !m.there[d] {
			missing = append(missing, d)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("execute: %w", missing)
	}
	if err := m.broken[by.Action]; err != nil {
		return err
	}
	m.runs[by.Action]++
	m.going++
	m.most = max(m.most, m.going)
	m.mu.Unlock()
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
	}
	m.mu.Lock()
	m.going--
	if ctx.Err() != nil {
		m.cancelled++
		return ctx.Err()
	}
	for _, d := range m.makes[by.Action] {
		m.there[d] = true
	}
	return nil
}

func TestALostTreeOfActionsIsMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t)
		source := of("source", 0)
		m.there[source] = true
		var objects []digest.Digest
		for n := range 100 {
			objects = append(objects, of("object", n))
			m.action(t, n, []digest.Digest{source}, objects[n:])
		}
		m.action(t, 1000, objects, []digest.Digest{of("program", 0)})
		m.there[objects[7]] = true
		began := time.Now()
		stranger := of("nobody's", 0)
		got, err := m.Remake(t.Context(), []digest.Digest{stranger, of("program", 0)})
		if err != nil || !slices.Equal(got, []digest.Digest{of("program", 0)}) {
			t.Errorf("remade %v, %v", got, err)
		}
		if took := time.Since(began); took != 2*time.Second || m.most != 99 || len(m.runs) != 100 || m.runs[of("action", 7)] != 0 {
			t.Errorf("took %v, %d at once, %d in all; want 2 s, 99 and 100", took, m.most, len(m.runs))
		}
		if st := m.Stats(); st != (remake.Stats{Remade: 100}) {
			t.Errorf("counted %+v", st)
		}
	})
}

func TestWhoAsksTogetherIsServedByOneExecution(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t)
		m.action(t, 1, nil, []digest.Digest{of("out", 1)})
		ctx, leave := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer leave()
		if got, err := m.Remake(ctx, []digest.Digest{of("out", 1)}); !errors.Is(err, context.DeadlineExceeded) || got != nil {
			t.Errorf("a client without patience: %v, %v", got, err)
		}
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				if got, err := m.Remake(t.Context(), []digest.Digest{of("out", 1)}); err != nil || len(got) != 1 {
					t.Errorf("a client that asked again: %v, %v", got, err)
				}
			})
		}
		all.Wait()
		if m.runs[of("action", 1)] != 1 || m.cancelled != 0 {
			t.Errorf("executed %d times, %d were cancelled", m.runs[of("action", 1)], m.cancelled)
		}
	})
}

func TestWhatCannotBeMadeAgainIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t)
		m.action(t, 1, []digest.Digest{of("source", 1)}, []digest.Digest{of("out", 1)})
		m.action(t, 2, nil, []digest.Digest{of("out", 2)})
		m.broken[of("action", 2)] = errors.New("exit code 1")
		got, err := m.Remake(t.Context(), []digest.Digest{of("out", 1), of("out", 2)})
		if err != nil || got != nil || m.Stats() != (remake.Stats{Lost: 2}) {
			t.Errorf("remade %v, %v; counted %+v", got, err, m.Stats())
		}
	})
}

func TestExecutionsEndWithTheNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t)
		m.action(t, 1, nil, []digest.Digest{of("out", 1)})
		running := remake.New(remake.Options{Makers: m.table.Of, Has: m.has, Execute: m.execute})
		ctx, stop := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer stop()
		var asked sync.WaitGroup
		asked.Go(func() {
			if got, err := running.Remake(t.Context(), []digest.Digest{of("out", 1)}); err != nil || got != nil {
				t.Errorf("while the node stops: %v, %v", got, err)
			}
		})
		if err := running.Run(ctx); err != nil || m.cancelled != 1 {
			t.Errorf("ended with %v, %d cancelled", err, m.cancelled)
		}
		asked.Wait()
		if got, err := running.Remake(t.Context(), []digest.Digest{of("out", 1)}); err != nil || got != nil || m.runs[of("action", 1)] != 1 {
			t.Errorf("after it: %v, %v, executed %d times", got, err, m.runs[of("action", 1)])
		}
	})
}
