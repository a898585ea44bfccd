package reapi

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	bspb "google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc"

	"github.com/buildnet/buildnet/node/reapi/limits"
)

// answered says that a client's large upload ends well, soon.
func (w *world) answered(client string, within time.Duration) {
	w.t.Helper()
	began := time.Now()
	stream, err := w.dial(client).Write(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	if err := stream.Send(&bspb.WriteRequest{Data: make([]byte, 4<<20)}); err != nil {
		w.t.Fatalf("%s: %v", client, err)
	}
	a, err := stream.CloseAndRecv()
	if err != nil || a.CommittedSize != 4<<20 {
		w.t.Errorf("%s: %v, %v", client, a, err)
	}
	if took := time.Since(began); took > within {
		w.t.Errorf("%s waited for %v", client, took)
	}
}

// used checks what is counted against the bound, which frames may exceed by one of
// each connection until one of them is closed.
func (w *world) used() int64 {
	w.t.Helper()
	l := w.server.on.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	if got := l.pool.Used() - l.leaving.Used(); got > limits.MaxMemory+virtualConns*frameTakes(16<<10) {
		w.t.Errorf("%d MiB are counted", got>>20)
	}
	return l.pool.Used()
}

func TestMessagesThatDoNotEndTakeNoMoreThanAShare(t *testing.T) {
	virtual(t, &sink{}, func(t *testing.T, w *world) {
		most := part(limits.MaxMessageBytes, limits.MaxMessageBytes-100<<10)
		for range 5 {
			on := w.bare("hostile")
			for range 50 {
				w.begin(on, writeMethod, most)
			}
		}
		synctest.Wait()
		if got := w.used(); got < limits.MaxMemory/3 {
			t.Errorf("only %d MiB are counted: the client was not hostile", got>>20)
		}
		w.answered("honest", time.Second)
		w.answered("hostile", 2*patience) // another program of the same user
		time.Sleep(2 * patience)
		w.used()
	})
}

func TestWhatComesUnaskedIsBoundedByEndingWhoSendsMost(t *testing.T) {
	virtual(t, &sink{}, func(t *testing.T, w *world) {
		slow, err := w.dial("honest").Write(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := slow.Send(&bspb.WriteRequest{Data: make([]byte, 1000)}); err != nil {
			t.Fatal(err)
		}
		var ended []<-chan error
		window := part(limits.MaxMessageBytes, streamWindow-5)
		for range 4 {
			on := w.bare("hostile")
			for range maxStreams { // each gets a window without that anybody reads
				ended = append(ended, w.begin(on, writeMethod, window))
			}
		}
		synctest.Wait()
		w.used()
		n := 0
		for _, e := range ended {
			select {
			case <-e:
				n++
			default:
			}
		}
		if n == 0 {
			t.Error("no call has ended")
		}
		w.answered("honest", time.Second)
		if a, err := slow.CloseAndRecv(); err != nil || a.CommittedSize != 1000 {
			t.Errorf("who was there before: %v, %v", a, err)
		}
		time.Sleep(2 * patience)
	})
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A frame of one byte takes more than a hundred in memory.
func TestWhatIsCountedIsNoLessThanWhatFramesTake(t *testing.T) {
	const frames = 30_000
	virtual(t, &sink{}, func(t *testing.T, w *world) {
		r, send := io.Pipe()
		q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://virtual"+writeMethod, r)
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Content-Type", "application/grpc")
		on := w.bare("hostile")
		go func() {
			if a, err := on.RoundTrip(q); err == nil {
				_ = a.Body.Close()
			}
		}()
		before := heap()
		prefix := part(streamWindow, 0) // which comes without being asked for
		for i := range frames {
			if _, err := send.Write(prefix[min(i, len(prefix)-1):][:1]); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		counted, took := w.used(), heap()-before
		t.Logf("%d frames take %d bytes, %d are counted", frames, took, counted)
		if counted < frames*frameBytes || counted < took-512<<10 {
			t.Errorf("%d frames take %d bytes, %d are counted", frames, took, counted)
		}
		time.Sleep(2 * patience)
		_ = send.Close()
	})
}

func TestAnswersThatAreNotReadTakeNoMoreThanAShare(t *testing.T) {
	virtual(t, &sink{answer: make([]byte, 4<<20)}, func(t *testing.T, w *world) {
		for range 5 {
			client := w.dial("hostile", grpc.WithInitialWindowSize(64<<10), grpc.WithInitialConnWindowSize(64<<10))
			for range 100 {
				if _, err := client.Read(t.Context(), &bspb.ReadRequest{}); err != nil {
					t.Fatal(err)
				}
			}
		}
		synctest.Wait()
		if got := w.used(); got < limits.MaxMemory/3 {
			t.Errorf("only %d MiB are counted: the client was not hostile", got>>20)
		}
		w.answered("honest", time.Second)
		time.Sleep(queueTime + unreadTime + time.Second)
		if got := w.used(); got > 1<<20 {
			t.Errorf("nobody reads %d MiB, and they are kept", got>>20)
		}
	})
}

// What each connection has in any case is not a way to have all.
func TestAsManyConnectionsAsThereMayBeDoNotTakeAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger(limits.MaxMemory)
		ctx, stop := context.WithCancel(t.Context())
		var all []*account
		waited := make(chan error, maxConns)
		for range maxConns / 2 {
			a := l.open("hostile", func() { t.Error("a connection was ended of a client that asks") })
			all = append(all, a)
			go func() { waited <- a.take(ctx, floorBytes) }()
		}
		synctest.Wait()
		has := l.pool.Of("hostile")
		if has <= l.pool.Max()/2 || has > l.pool.Max()*3/4 {
			t.Errorf("one client has %d of %d", has, l.pool.Max())
		}
		honest := l.open("honest", nil)
		if err := honest.take(ctx, floorBytes); err != nil {
			t.Error(err)
		}
		for range has / floorBytes {
			if err := <-waited; err != nil {
				t.Fatal(err)
			}
		}
		for gone := 0; gone < 4; all = all[1:] {
			if a := all[0]; a.used > 0 {
				a.add(-a.used)
				gone++
			}
		}
		synctest.Wait()
		select {
		case err := <-waited:
			if err != nil {
				t.Error(err)
			}
		default:
			t.Error("nobody who waits is given what another has given back")
		}
		stop()
		synctest.Wait()
	})
}

// greets connects as HTTP/2 demands, and says no more. closed is closed when the
// server closes the connection.
func (w *world) greets(client string) (closed <-chan struct{}) {
	conn, err := w.connect(w.t.Context(), client)
	if err != nil {
		w.t.Fatal(err)
	}
	w.ends = append(w.ends, func() { conn.Close() })
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.WriteString(conn, http2.ClientPreface)
		_ = http2.NewFramer(conn, nil).WriteSettings()
		_, _ = io.Copy(io.Discard, conn)
	}()
	return ended
}

func TestConnectionsThatSayNothingGiveWay(t *testing.T) {
	s := &sink{}
	virtual(t, s, func(t *testing.T, w *world) {
		s.reading = make(chan struct{})
		busy, err := w.dial("hostile").Read(t.Context(), &bspb.ReadRequest{})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		var first <-chan struct{}
		for range 3 {
			time.Sleep(idleTime)
			for i := range virtualConns {
				if closed := w.greets("hostile"); first == nil && i == 0 {
					first = closed
				}
			}
		}
		synctest.Wait()
		if has := w.server.on.share.Of("hostile"); has > virtualConns/2 {
			t.Errorf("one client has %d connections", has)
		}
		select {
		case <-first:
		default:
			t.Error("the connection that is silent longest is there")
		}
		w.answered("honest", time.Second)
		time.Sleep(idleTime)
		w.answered("hostile", time.Second) // another program of the same user
		close(s.reading)
		if _, err := busy.Recv(); err != nil {
			t.Errorf("who waited for the server: %v", err)
		}
	})
}

func TestManyClientsThatEachTakeTheirShareLeaveSomeForTheNext(t *testing.T) {
	virtual(t, &sink{}, func(t *testing.T, w *world) {
		for client := range 9 {
			for range virtualConns / 2 {
				w.greets(string(rune('a' + client)))
			}
		}
		synctest.Wait()
		if all := w.server.on.share.Used(); all > virtualConns {
			t.Errorf("%d connections", all)
		}
		for client := range 12 {
			w.answered(string(rune('k'+client)), time.Second)
		}
	})
}

// Who makes calls, and reads no answer, is not read from for ever.
func TestWhoReadsNothingIsClosed(t *testing.T) {
	virtual(t, &sink{}, func(t *testing.T, w *world) {
		conn, err := w.connect(t.Context(), "hostile")
		if err != nil {
			t.Fatal(err)
		}
		w.ends = append(w.ends, func() { conn.Close() })
		var block bytes.Buffer
		fields := hpack.NewEncoder(&block)
		fields.SetMaxDynamicTableSize(0) // the same bytes each time
		for _, f := range []string{":method POST", ":scheme http", ":path /no/such", "content-type application/grpc", "te trailers"} {
			name, value, _ := strings.Cut(f, " ")
			_ = fields.WriteField(hpack.HeaderField{Name: name, Value: value})
		}
		calls := make(chan int)
		go func() {
			_, _ = io.WriteString(conn, http2.ClientPreface)
			f := http2.NewFramer(conn, nil)
			err, n := f.WriteSettings(), 0
			for ; n < 100_000 && err == nil; n++ {
				err = f.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*n + 1), BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true})
			}
			calls <- n
		}()
		n := <-calls
		t.Logf("%d calls were taken", n)
		if n > 10_000 {
			t.Errorf("%d calls were taken of a client that reads nothing", n)
		}
		w.answered("honest", time.Second)
	})
}

var _ net.Listener = (*world)(nil)
