package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/buildnet/buildnet/node/config"
)

func TestStrangersMayNotCommandTheNode(t *testing.T) {
	s := &Server{uid: 1000}
	for uid, want := range map[int]int{1000: 200, 0: 200, UnknownUID: 200, 1001: 403} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPost, "/v1/down", bytes.NewReader(nil))
		s.owner(func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, 1) })(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, origin{uid: uid})))
		if w.Code != want {
			t.Errorf("user %d: %d, want %d", uid, w.Code, want)
		}
	}
}

func TestAnotherUserMustServeTheTree(t *testing.T) {
	s := &Server{uid: 1000}
	for uid, ok := range map[int]bool{1000: true, UnknownUID: true, 0: false, 1001: false} {
		tree, err := s.treeOf(&BuildRequest{UID: uid})
		if (err == nil) != ok || tree != nil {
			t.Errorf("user %d: %v, %v", uid, tree, err)
		}
	}
	id, err := s.trees.put(&tree{uid: 1001})
	if err != nil {
		t.Fatal(err)
	}
	var e *Error
	if _, err := s.treeOf(&BuildRequest{UID: 1002, TreeID: id}); !errors.As(err, &e) || e.Kind != NotFound {
		t.Errorf("another user's tree: %v", err)
	}
	if tree, err := s.treeOf(&BuildRequest{UID: 1001, TreeID: id}); err != nil || tree == nil {
		t.Errorf("the user's tree: %v, %v", tree, err)
	}
}

// letters is a node that has one for whoever asks.
type letters struct{ Node }

// DeadLetters implements Node.
func (letters) DeadLetters(_ context.Context, uid int) ([]DeadLetter, error) {
	return []DeadLetter{{ID: strconv.Itoa(uid)}}, nil
}

func TestLettersAreThoseOfWhoeverAsks(t *testing.T) {
	s := &Server{uid: 1000, node: letters{}}
	for _, uid := range []int{0, 1000, 1001, UnknownUID} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/v1/queue/dead", nil)
		s.socketHandler().ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, origin{uid: uid})))
		var got []DeadLetter
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || len(got) != 1 || got[0].ID != strconv.Itoa(uid) {
			t.Errorf("user %d gets %s", uid, w.Body)
		}
	}
}

func TestTheGroupReachesASharedHome(t *testing.T) {
	home := t.TempDir()
	if err := os.Chmod(home, 0o700); err != nil {
		t.Fatal(err)
	}
	l := &Listener{path: filepath.Join(home, config.SocketName)}
	unix, err := l.bind(t.Context(), permission{mode: 0o660, gid: os.Getgid()})
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close()
	for path, want := range map[string]os.FileMode{home: 0o710, l.path: 0o660} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	if p := access(home); p.mode != 0o600 || p.gid != -1 {
		t.Errorf("access to a home of one's own: %+v", p)
	}
}
