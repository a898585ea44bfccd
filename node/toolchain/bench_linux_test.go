package toolchain

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/buildnet/buildnet/store/memory"
)

// bench is a small machine: a PATH, headers and libraries of its own, and a
// compiler driver that answers questions about them.
type bench struct {
	t    *testing.T
	root string
	*Prober
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, root: t.TempDir()}
	for p := b.root; p != "/" && p != filepath.Clean(os.TempDir()); p = filepath.Dir(p) {
		if err := os.Chmod(p, 0o755); err != nil { // root's questions are asked as somebody else
			t.Fatal(err)
		}
	}
	b.write("include/a.h", "int a;", 0o644)
	b.write("include/sub/b.h", "int b;", 0o644)
	b.write("lib/libx.a", "x", 0o644)
	b.write("lib/crt1.o", "crt", 0o644)
	b.write("lib/notes.txt", "unread", 0o644)
	b.write("libexec/cc1", "compiler", 0o755)
	b.write("bin/as", "assembler", 0o755)
	b.write("bin/ld", "#!/bin/sh\necho 'SEARCH_DIR(\"="+b.root+"/ldlib\"); SEARCH_DIR(\"=/absent\");'\n", 0o755)
	b.write("bin/ar", "archiver", 0o755)
	b.write("bin/cc", `#!/bin/sh
case "$1" in
-print-prog-name=cc1) echo `+b.root+`/libexec/cc1;;
-print-prog-name=*) echo "${1#*=}";;
-print-file-name=*) echo "${1#*=}";;
-print-search-dirs) echo "libraries: =`+b.root+`/lib/:`+b.root+`/lib/../lib/:`+b.root+`/absent";;
-dumpmachine) echo test-machine;;
-E) test "$4" = c || exit 1
  echo 'ignoring nonexistent directory "`+b.root+`/later"' >&2
  printf '#include <...> search starts here:\n %s\nEnd of search list.\n' '`+b.root+`/include' >&2;;
*) exit 1;;
esac
`, 0o755)
	b.Prober = b.again(&memory.KV{})
	<-time.After(racy) // what changed just now is never trusted
	return b
}

func (b *bench) again(kv *memory.KV) *Prober {
	return New(Options{KV: kv, Path: b.root + "/bin", System: b.root})
}

func (b *bench) path(p string) string { return filepath.Join(b.root, p) }

func (b *bench) write(p, content string, mode os.FileMode) {
	b.t.Helper()
	full := b.path(p)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(content), mode); err != nil {
		b.t.Fatal(err)
	}
	if err := os.Chmod(full, mode); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) digest(s Spec) string {
	b.t.Helper()
	b.mu.Lock()
	for _, e := range b.entries {
		e.checked = time.Time{} // as if time had passed
	}
	b.mu.Unlock()
	d, err := b.Digest(b.t.Context(), s)
	if err != nil {
		b.t.Fatal(err)
	}
	return d
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not in time: %s", what)
		}
	}
}
