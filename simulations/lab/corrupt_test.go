//go:build lab && linux

package lab

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/buildnet/buildnet/node/event"
)

// rot flips a byte of every file that the host's store keeps, behind the back
// of its node, and returns how many there are.
func rot(t *testing.T, h *Host) (files int) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(h.Home, "store", "files"), func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		content, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		content[len(content)/2] ^= 1
		files++
		if err := os.Chmod(p, 0o600); err != nil {
			return err
		}
		return os.WriteFile(p, content, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestPeersThatAnswerWithOtherBytes checks that bytes which do not have the
// digest asked for are used nowhere, and their sender is named.
func TestPeersThatAnswerWithOtherBytes(t *testing.T) {
	l := New(t)
	hosts, nodes := Mesh(t, l, 3, 0.6, "--slots", "2")
	tree := map[string]string{".buildnet/config.yaml": `version: 1
packages:
  - name: big
    steps:
      - foreach: "src/*.txt"
        run: "cat {in} {in} > {stem}.out"
        tools: [sh, cat]
        outputs: ["{stem}.out"]
`}
	sources := map[string]string{}
	for _, name := range []string{"a", "b", "c", "d"} {
		sources[name] = strings.Repeat("some text of "+name+"\n", 20_000)
		tree["src/"+name+".txt"] = sources[name]
	}
	first, second := filepath.Join(hosts[0].Dir, "big"), filepath.Join(hosts[2].Dir, "big")
	WriteTree(t, first, tree)
	WriteTree(t, second, tree)
	// Host 3 takes no part in the first build: it must fetch.
	hosts[2].Cut()
	Await(t, hosts[0], 2, 30*time.Second)
	_, f := hosts[0].Build(first)
	if f.Executed != 4 {
		t.Fatalf("%+v", f)
	}
	hosts[2].Heal()
	Await(t, hosts[2], 3, 60*time.Second)
	if n := rot(t, hosts[0]) + rot(t, hosts[1]); n < 4 {
		t.Fatalf("only %d files could rot", n)
	}

	b, f := hosts[2].Build(second)
	for name, source := range sources {
		got, err := os.ReadFile(filepath.Join(second, name+".out"))
		if err != nil || !bytes.Equal(got, []byte(source+source)) {
			t.Errorf("%s.out has other bytes, %v", name, err)
		}
	}
	named := b.Until(func(e event.Event) bool {
		n, ok := e.(event.Notice)
		return ok && n.Level == event.Warning && (strings.Contains(n.Text, nodes[0].Peer) || strings.Contains(n.Text, nodes[1].Peer) ||
			strings.Contains(n.Text, "h1") || strings.Contains(n.Text, "h2"))
	})
	if !named {
		t.Errorf("nobody who sent other bytes is named: %+v", b.Events())
	}
	t.Logf("%d executed again: %+v", f.Executed, f)
}
