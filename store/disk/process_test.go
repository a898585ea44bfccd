package disk

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/storetest"
)

const (
	// writerEnv makes the test binary a process that fills a store until it is
	// killed, and fullEnv one whose disk gets full under it.
	writerEnv = "BUILDNET_TEST_WRITER"
	fullEnv   = "BUILDNET_TEST_FULL"
	// cacheEnv makes it one that writes a blob and some state that may be lost,
	// says so when that outlives it, and waits to be killed. outliveEnv is why it
	// does: a key of outlives.
	cacheEnv, outliveEnv = "BUILDNET_TEST_CACHE", "BUILDNET_TEST_OUTLIVES"
	// tightEnv makes it one whose store is too small for what it writes.
	tightEnv = "BUILDNET_TEST_TIGHT"
	// fullAfter is when that disk is full, in bytes.
	fullAfter = 3 << 20
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerEnv); dir != "" {
		fill(dir, vfs.Default)
	}
	if dir := os.Getenv(tightEnv); dir != "" {
		fillTight(dir)
	}
	if dir := os.Getenv(fullEnv); dir != "" {
		fs := &storetest.FailingFS{FS: vfs.Default, Scope: storetest.AllFiles}
		fs.Fail(syscall.ENOSPC, fullAfter)
		fill(dir, fs)
	}
	if dir := os.Getenv(cacheEnv); dir != "" {
		fillCache(dir, outlives[os.Getenv(outliveEnv)])
	}
	goleak.VerifyTestMain(m)
}

// outlives are the ways in which what may be lost comes to outlive its process.
var outlives = map[string]func(*Store) error{
	"pushed":             (*Store).Push,
	"had time to settle": func(*Store) error { <-time.After(4 * pushAfter); return nil },
}

func fillCache(dir string, outlive func(*Store) error) {
	s, err := Open(dir, Options{})
	if err == nil {
		_, err = store.AddBytes(context.Background(), s, []byte("small"))
	}
	if err == nil {
		err = s.CacheKV("n").Put([]byte("key"), []byte("value"))
	}
	if err == nil {
		err = outlive(s)
	}
	fmt.Println(err)
	select {}
}

func TestKilledProcessKeepsWhatOutlivesIt(t *testing.T) {
	for why := range outlives {
		t.Run(why, func(t *testing.T) {
			for range 5 {
				killedCache(t, why)
			}
		})
	}
}

// killedCache kills a process when it says that what it wrote outlives it.
func killedCache(t *testing.T, why string) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), cacheEnv+"="+dir, outliveEnv+"="+why)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	if err := cmd.Process.Kill(); err != nil || line != "<nil>\n" {
		t.Fatal(err, line)
	}
	_ = cmd.Wait()
	s := open(t, dir, Options{})
	defer s.Close()
	if value, err := s.CacheKV("n").Get([]byte("key")); err != nil || string(value) != "value" {
		t.Errorf("state came back as %q, %v", value, err)
	}
	if got := s.Stats().Blobs; got != 1 {
		t.Errorf("%d blobs came back, want 1", got)
	}
}

// fill writes blobs and state forever, or until an error; what is durable is on
// stdout before the next.
func fill(dir string, fs vfs.FS) {
	s, err := Open(dir, Options{FS: fs, MaxBytes: 64 << 20})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for seed := 0; ; seed++ {
		content := storetest.Bytes([]int{100, 5000, 300_000}[seed%3], byte(seed))
		if _, err = store.AddBytes(context.Background(), s, content); err == nil {
			err = s.KV("n").Put([]byte("seed"), []byte(strconv.Itoa(seed)))
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(seed)
	}
}

// sound checks that the store in dir opens as it is, serves nothing corrupt,
// has the durable state and no temporary files, and returns its blobs.
func sound(t *testing.T, dir string, durable int) int {
	t.Helper()
	s := open(t, dir, Options{})
	report, err := s.Verify(t.Context())
	if err != nil || len(report.Corrupt) > 0 {
		t.Errorf("verify: %+v, %v", report, err)
	}
	if names, _ := os.ReadDir(filepath.Join(dir, tempDir)); len(names) > 0 {
		t.Errorf("temporary files stay: %v", names)
	}
	value, err := s.KV("n").Get([]byte("seed"))
	if got, _ := strconv.Atoi(string(value)); err != nil || got < durable {
		t.Errorf("durable state %d came back as %q, %v", durable, value, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return report.Blobs
}

// tightBytes is a store in which blobs go with each that comes, after the first few.
const tightBytes = 1 << 20

// fillTight is fill in such a store, which it collects all the time as well.
func fillTight(dir string) {
	s, err := Open(dir, Options{MaxBytes: tightBytes})
	for seed := 0; err == nil; seed++ {
		content := storetest.Bytes([]int{100, 5000, 90_000}[seed%3], byte(seed))
		if _, err = store.AddBytes(context.Background(), s, content); err == nil {
			err = s.KV("n").Put([]byte("seed"), []byte(strconv.Itoa(seed)))
		}
		if err == nil && seed%50 == 0 {
			_, err = s.Collect(context.Background(), time.Millisecond)
		}
		fmt.Println(seed)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func TestKilledProcess(t *testing.T) {
	if killed(t, writerEnv, t.TempDir(), 5) == 0 {
		t.Error("nothing at all survived")
	}
}

// A process that is killed while blobs make room, and while it collects, leaves a store
// that is sound and within its bound.
func TestKilledWhileBlobsGo(t *testing.T) {
	dir := t.TempDir()
	killed(t, tightEnv, dir, 60)
	if st := open(t, dir, Options{}).Stats(); st.Bytes > tightBytes {
		t.Errorf("%d bytes are there, the bound was %d", st.Bytes, tightBytes)
	}
}

// killed kills a process four times, after at least so many blobs, and returns how many
// blobs there are in the end.
func killed(t *testing.T, env, dir string, blobs int) (survived int) {
	t.Helper()
	for range 4 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), env+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		durable := 0
		for range blobs + rand.IntN(20) {
			if !lines.Scan() {
				t.Fatal("the writer ended by itself")
			}
			durable, _ = strconv.Atoi(lines.Text())
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		survived = sound(t, dir, durable)
	}
	return survived
}

// TestDiskThatGetsFullUnderPebble ends a process in the way that a full disk
// does which minFree did not see coming.
func TestDiskThatGetsFullUnderPebble(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fullEnv+"="+dir)
	var out, talk bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &talk
	if err := cmd.Run(); err == nil {
		t.Fatal("a full disk went unnoticed")
	}
	if !bytes.Contains(talk.Bytes(), []byte("no space left")) {
		t.Errorf("the process ended otherwise: %.2000s", talk.String())
	}
	durable := 0
	for line := range bytes.Lines(out.Bytes()) {
		durable, _ = strconv.Atoi(string(bytes.TrimSpace(line)))
	}
	if sound(t, dir, durable) == 0 || durable == 0 {
		t.Errorf("nothing survived: %s", talk.String())
	}
}
