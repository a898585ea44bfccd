package worktree

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

const (
	// MaxHookOutput is how much of what a hook printed is kept, in bytes.
	MaxHookOutput = 1 << 20
	// hookGrace is how long what a hook left behind may hold its output open.
	hookGrace = 500 * time.Millisecond
)

// RunHook implements Files.
func (l *local) RunHook(ctx context.Context, h Hook) (HookResult, error) {
	if err := l.checkWay(h.Dir); err != nil {
		return HookResult{}, fmt.Errorf("run hook in %s: %w", h.Dir, err)
	}
	var out headBuffer
	cmd := exec.CommandContext(ctx, "/bin/sh", "-e", "-c", h.Command)
	cmd.Dir = filepath.Join(l.path, native(h.Dir))
	cmd.Env = append(os.Environ(), h.Env...)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &out, hookGrace
	asGroup(cmd)
	err := cmd.Run()
	if ctx.Err() != nil {
		return HookResult{}, ctx.Err()
	}
	kept, lost := out.result()
	if cmd.ProcessState == nil {
		return HookResult{}, fmt.Errorf("run hook in %s: %w", h.Dir, err)
	}
	return HookResult{ExitCode: cmd.ProcessState.ExitCode(), Output: kept, Lost: lost}, nil
}

// headBuffer keeps the first MaxHookOutput bytes and counts the others.
type headBuffer struct {
	mu   sync.Mutex
	kept bytes.Buffer
	lost int64
}

// Write never fails: a hook must not die of printing much.
func (b *headBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	fits := min(len(p), MaxHookOutput-b.kept.Len())
	b.kept.Write(p[:fits])
	b.lost += int64(len(p) - fits)
	return len(p), nil
}

func (b *headBuffer) result() (string, int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.kept.String(), b.lost
}
