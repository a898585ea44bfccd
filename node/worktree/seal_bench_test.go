package worktree

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/buildnet/buildnet/store/memory"
)

// benchmarkUnchanged asks of a tree of 2,000 sources.
func benchmarkUnchanged(b *testing.B, mode string) {
	root := b.TempDir()
	var sources []string
	for i := range 2000 {
		p := fmt.Sprintf("d%d/f%d", i/20, i)
		abs := filepath.Join(root, p)
		if err := errors.Join(os.MkdirAll(filepath.Dir(abs), 0o755), os.WriteFile(abs, []byte(p), 0o644)); err != nil {
			b.Fatal(err)
		}
		sources = append(sources, p)
	}
	files, err := Local(root)
	if err != nil {
		b.Fatal(err)
	}
	defer files.Close()
	opts := Options{}
	if mode == "watched" {
		opts.Watcher = NewWatcher(filepath.Join(b.TempDir(), "w"), nil)
		ctx, cancel := context.WithCancel(b.Context())
		ended := make(chan error, 1)
		go func() { ended <- opts.Watcher.Run(ctx) }()
		defer func() { cancel(); <-ended }()
		for opts.Watcher.sync(ctx) != nil {
			runtime.Gosched()
		}
	}
	blobs := memory.New(1 << 30)
	tree, err := Open(files, &memory.KV{}, blobs, opts)
	if err != nil {
		b.Fatal(err)
	}
	s, err := tree.Scan(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	if _, err := tree.Ingest(b.Context(), s, sources, blobs.Lease().Hold); err != nil {
		b.Fatal(err)
	}
	if err := tree.Seal(b.Context(), "k", State{Snapshot: s, Sources: sources}); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, same, err := tree.Unchanged(b.Context(), "k"); !same || err != nil {
			b.Fatal(same, err)
		}
	}
}
