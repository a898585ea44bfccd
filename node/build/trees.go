package build

import (
	"fmt"
	"os"
	"sync"

	"github.com/buildnet/buildnet/node/worktree"
	"github.com/buildnet/buildnet/store"
)

// maxTrees bounds the working trees that are kept open.
const maxTrees = 64

// trees keeps the working trees of this node's own user open between builds,
// with what is known of their files.
type trees struct {
	kv    store.KV
	blobs store.Blobs
	opts  worktree.Options

	mu   sync.Mutex
	open map[string]*ownTree
	uses uint64
}

type ownTree struct {
	files worktree.Files
	tree  *worktree.Tree
	root  os.FileInfo
	used  uint64
}

// own returns the tree at root, which this process reads and writes itself.
func (t *trees) own(root string) (*worktree.Tree, error) {
	info, err := os.Stat(root)
	if err != nil {
		return nil, fmt.Errorf("open the working tree: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.uses++
	if o, ok := t.open[root]; ok {
		if os.SameFile(o.root, info) {
			o.used = t.uses
			return o.tree, nil
		}
		t.drop(root) // another directory lies there by now
	}
	files, err := worktree.Local(root)
	if err != nil {
		return nil, fmt.Errorf("open the working tree: %w", err)
	}
	tree, err := worktree.Open(files, t.kv, t.blobs, t.opts)
	if err != nil {
		_ = files.Close()
		return nil, fmt.Errorf("open the working tree: %w", err)
	}
	t.open[root] = &ownTree{files: files, tree: tree, root: info, used: t.uses}
	return tree, nil
}

func (t *trees) drop(root string) {
	_ = t.open[root].files.Close()
	delete(t.open, root)
}

// trim closes the trees that were not used for longest. Those in use stay.
func (t *trees) trim(busy func(root string) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.open) > maxTrees {
		oldest := ""
		for root, o := range t.open {
			if !busy(root) && (oldest == "" || o.used < t.open[oldest].used) {
				oldest = root
			}
		}
		if oldest == "" {
			return
		}
		t.drop(oldest)
	}
}
