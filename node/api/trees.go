package api

import (
	"bufio"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// TreeProtocol is what a connection is upgraded to, and TreeHeader carries
	// the tree's ID.
	TreeProtocol = "buildnet-tree"
	// TreeHeader carries that ID.
	TreeHeader = "Buildnet-Tree"

	// maxTrees bounds trees that no build has taken yet, treeTime how long they
	// wait.
	maxTrees = 64
	treeTime = 10 * time.Second
)

// tree is a connection over which a client does the file operations of a build.
type tree struct {
	net.Conn
	early *bufio.Reader // what came with the request
	uid   int
	end   *time.Timer
}

// Read implements io.Reader.
func (t *tree) Read(p []byte) (int, error) { return t.early.Read(p) }

// trees are those that wait for their build.
type trees struct {
	mu      sync.Mutex
	waiting map[string]*tree
	closed  bool
}

// offerTree takes the connection of the request, which then waits for a build
// that names it.
func (s *Server) offerTree(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != TreeProtocol {
		fail(w, Errorf(Invalid, "a tree is offered by an upgrade to %s", TreeProtocol))
		return
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		fail(w, fmt.Errorf("offer a tree: %w", err))
		return
	}
	_ = conn.SetDeadline(time.Time{}) // a socket takes it
	id, err := s.trees.put(&tree{Conn: conn, early: buffered.Reader, uid: caller(r)})
	if err != nil {
		e := asError(err)
		body, _ := json.Marshal(e) // it is strings alone
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s",
			e.Kind.status(), http.StatusText(e.Kind.status()), len(body), body)
		_ = conn.Close()
		return
	}
	if _, err := fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n%s: %s\r\n\r\n", TreeProtocol, TreeHeader, id); err != nil {
		s.trees.drop(id)
	}
}

func (ts *trees) put(t *tree) (string, error) {
	id := rand.Text()
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.closed || len(ts.waiting) >= maxTrees {
		return "", Errorf(Unavailable, "%d trees wait for their builds", len(ts.waiting))
	}
	if ts.waiting == nil {
		ts.waiting = map[string]*tree{}
	}
	t.end = time.AfterFunc(treeTime, func() { ts.drop(id) })
	ts.waiting[id] = t
	return id, nil
}

// take gives a tree to the build of the user who offered it.
func (ts *trees) take(id string, uid int) (*tree, error) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t, ok := ts.waiting[id]
	if !ok || t.uid != uid {
		return nil, Errorf(NotFound, "no such tree, or it waited for more than %v", treeTime)
	}
	delete(ts.waiting, id)
	t.end.Stop()
	return t, nil
}

func (ts *trees) drop(id string) {
	ts.mu.Lock()
	t, ok := ts.waiting[id]
	delete(ts.waiting, id)
	ts.mu.Unlock()
	if ok {
		t.end.Stop()
		_ = t.Close()
	}
}

// close closes those that wait; there will be no more.
func (ts *trees) close() {
	ts.mu.Lock()
	ts.closed = true
	waiting := ts.waiting
	ts.waiting = nil
	ts.mu.Unlock()
	for _, t := range waiting {
		t.end.Stop()
		_ = t.Close()
	}
}
