package include_test

import (
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/buildnet/buildnet/node/compile"
	"github.com/buildnet/buildnet/node/compile/include"
)

// memory is a file system in memory. What is written gets a new stamp, and so
// does the directory in which a name comes or goes.
type memory struct {
	nodes map[string]*inode
	clock int64
	reads int
}

type inode struct {
	kind    include.Kind
	content string // of a link: its target
	stamp   include.Stamp
}

func newMemory(files map[string]string) *memory {
	m := &memory{nodes: map[string]*inode{}}
	m.put("/", include.Dir, "")
	for p, content := range files {
		m.write(p, content)
	}
	return m
}

func (m *memory) put(p string, kind include.Kind, content string) {
	m.clock++
	if old := m.nodes[p]; p != "/" && (old == nil || kind == include.Link || old.kind != kind) { // as a rename does
		parent := path.Dir(p)
		if m.nodes[parent] == nil {
			m.put(parent, include.Dir, "")
		}
		m.nodes[parent].stamp.MTime = m.clock
	}
	m.nodes[p] = &inode{kind, content, include.Stamp{Ino: uint64(m.clock), MTime: m.clock}}
}

func (m *memory) write(p, content string) { m.put(p, include.File, content) }
func (m *memory) link(p, target string)   { m.put(p, include.Link, target) }

func (m *memory) remove(p string) {
	m.clock++
	for q := range m.nodes {
		if q == p || strings.HasPrefix(q, p+"/") {
			delete(m.nodes, q)
		}
	}
	if d := m.nodes[path.Dir(p)]; d != nil {
		d.stamp.MTime = m.clock
	}
}

func (m *memory) Lstat(p string) include.Stat {
	n := m.nodes[p]
	if n == nil {
		return include.Stat{}
	}
	st := include.Stat{Kind: n.kind, Stamp: n.stamp}
	if n.kind == include.Link {
		st.Target = n.content
	}
	return st
}

func (m *memory) List(dir string, limit int) ([]include.Entry, error) {
	var es []include.Entry
	for p, n := range m.nodes {
		if path.Dir(p) == dir && p != "/" {
			es = append(es, include.Entry{Name: path.Base(p), Kind: n.kind})
		}
	}
	if len(es) > limit {
		return nil, include.ErrMany
	}
	return es, nil
}

func (m *memory) Read(p string, _ int) ([]byte, error) {
	m.reads++
	n := m.nodes[p]
	if n == nil {
		return nil, fs.ErrNotExist
	}
	return []byte(n.content), nil
}

// unit is a command that works in /w.
func unit(command string, own ...string) include.Unit {
	c, err := compile.Read(strings.Fields(command), compile.Setting{})
	if err != nil {
		panic(err)
	}
	return include.Unit{Command: c, Dir: "/w", Own: include.Own{Dirs: own}}
}

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }
