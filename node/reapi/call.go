package reapi

import (
	"context"
	"math/bits"
	"sync"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/buildnet/buildnet/node/reapi/frames"
	"github.com/buildnet/buildnet/node/reapi/room"
)

const (
	// callBytes is what a call takes by itself: its goroutine, what gRPC keeps of it,
	// a timer.
	callBytes = 24 << 10
	// headerBytes is what a header takes beside its bytes.
	headerBytes = 128
	// frameBytes is what a frame takes beside its data, and messageBytes a message.
	frameBytes, messageBytes = 128, 32
	// unreadTime is how long a client may take to read an answer when nothing is done
	// for the call any more.
	unreadTime = 5 * time.Minute
)

// call is a call from its headers until gRPC has done with its stream and nobody works
// for it any more. Its context ends when its client lets it wait for too long, or has
// gone.
type call struct {
	context.Context
	conn   *conn
	client string
	timer  *time.Timer
	came   chan struct{} // of 1: there is more to read, or there will not be

	// guarded by conn.mu
	in      frames.Messages
	queue   []arrival // messages that have come, in part at least, and were not read
	last    int64     // what the frame takes that comes
	early   int64     // what frames take of which no message is known yet
	ahead   int64     // given for the next message, before it comes
	read    int64     // what the message takes that was read last
	own     int64     // what it takes besides
	answers []answer  // that were not written
	whole   bool      // no more messages come
	gone    bool      // gRPC has done with the stream
	serving bool
	counted bool // among the calls under way
	unread  *time.Timer
}

// arrival is a message that comes.
type arrival struct {
	length int64
	takes  int64 // with all frames that it ends in
}

// answer is a message that goes.
type answer struct {
	left  int64 // not written yet
	takes int64
}

type callKey struct{}

func callOf(ctx context.Context) *call { return ctx.Value(callKey{}).(*call) }

// Value implements context.Context.
func (c *call) Value(key any) any {
	if key == (callKey{}) {
		return c
	}
	return c.Context.Value(key)
}

// Err implements context.Context. gRPC makes the status of the call of it: where
// the client was silent that is DEADLINE_EXCEEDED.
func (c *call) Err() error {
	if err := c.Context.Err(); err == nil {
		return nil
	}
	return context.Cause(c.Context)
}

// enter returns the context of a new call on a connection, of which gRPC has read the
// headers, or errCrowd. The call waits for its first message.
func (c *conn) enter(ctx context.Context, header metadata.MD) (context.Context, error) {
	client, ok := c.gate.enter(c)
	if !ok {
		return nil, errCrowd
	}
	takes := int64(callBytes)
	for name, values := range header {
		for _, v := range values {
			takes += int64(len(name)+len(v)) + headerBytes
		}
	}
	c.account.add(takes)
	ctx, end := context.WithCancelCause(ctx)
	one := &call{conn: c, client: client, came: make(chan struct{}, 1), own: takes, whole: c.headers.End, counted: true}
	one.Context = room.With(ctx, one)
	one.timer = time.AfterFunc(patience, func() { end(context.DeadlineExceeded) })
	context.AfterFunc(ctx, func() { one.timer.Stop() })
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone.Load() {
		one.over()
	} else {
		c.calls[c.headers.Stream] = one
	}
	return one, nil
}

// frameTakes is the memory of a frame of n bytes: data comes in buffers of powers of 2.
func frameTakes(n int) int64 {
	if n < 1<<10 {
		return int64(n) + frameBytes
	}
	return int64(1)<<bits.Len(uint(n-1)) + frameBytes
}

// begins counts a frame of data whose header has come. conn.mu is held.
func (c *call) begins(f frames.Frame) {
	c.in.Begin(f)
	c.whole = c.whole || f.End
	c.last = frameTakes(f.Length)
	given := min(c.last, c.ahead)
	c.ahead -= given
	c.conn.account.add(c.last - given)
	c.belongs(c.last)
	if f.End {
		c.wake()
	}
}

// belongs adds what a frame takes to the last message that is known. conn.mu is held.
func (c *call) belongs(n int64) {
	if len(c.queue) == 0 {
		c.early += n
		return
	}
	c.queue[len(c.queue)-1].takes += n
}

// arrives takes note of data.
func (c *call) arrives(payload []byte) {
	c.conn.mu.Lock()
	defer c.conn.mu.Unlock()
	c.in.Data(payload, func(length int64) {
		// The frame stays until the last message is read that has part of it.
		c.belongs(-c.last)
		c.queue = append(c.queue, arrival{length, c.early + messageBytes})
		c.early = 0
		c.belongs(c.last)
		c.conn.account.add(messageBytes)
		c.wake()
	})
}

// wake is called with conn.mu held.
func (c *call) wake() {
	select {
	case c.came <- struct{}{}:
	default:
	}
}

// next waits for a message and returns its length; ok is false if none comes.
func (c *call) next() (length int64, ok bool) {
	for {
		c.conn.mu.Lock()
		if len(c.queue) > 0 {
			defer c.conn.mu.Unlock()
			return c.queue[0].length, true
		}
		if c.whole || c.gone {
			defer c.conn.mu.Unlock()
			return 0, false
		}
		c.conn.mu.Unlock()
		select {
		case <-c.came:
		case <-c.Done():
			return 0, false
		}
	}
}

// reserve waits for room for the next message, before the client may send it.
func (c *call) reserve(n int64) error {
	if err := c.conn.account.take(c, n); err != nil {
		return err
	}
	c.conn.mu.Lock()
	defer c.conn.mu.Unlock()
	c.ahead += n
	return nil
}

// smallBytes is what is taken without being asked for.
const smallBytes = 128 << 10

// decodes counts what the next message takes when it is decoded, if there is room.
func (c *call) decodes(n int64) error {
	c.conn.mu.Lock()
	defer c.conn.mu.Unlock()
	given := min(n, c.ahead)
	switch more := n - given; {
	case more <= smallBytes:
		c.conn.account.add(more)
	case !c.conn.account.try(more):
		return errNoRoom
	}
	c.ahead -= given
	c.read += n
	return nil
}

// decoded says that the next message was read whole.
func (c *call) decoded() {
	c.conn.spoke.Store(time.Now().UnixNano())
	c.conn.mu.Lock()
	defer c.conn.mu.Unlock()
	takes := c.ahead
	c.ahead = 0
	if len(c.queue) > 0 {
		takes += c.queue[0].takes
		c.queue = c.queue[1:]
		if len(c.queue) == 0 && c.in.Midway() {
			takes -= c.last
			c.early += c.last
		}
	}
	c.conn.account.add(-takes)
}

// forgets says that nobody needs the message that was read last.
func (c *call) forgets() {
	c.conn.mu.Lock()
	defer c.conn.mu.Unlock()
	c.conn.account.add(-c.read)
	c.read = 0
}

// goes waits for room for an answer of n bytes, which it takes until it is written.
func (c *call) goes(n int64) error {
	takes := n + frameBytes
	if err := c.conn.account.take(c, takes); err != nil {
		return err
	}
	c.conn.mu.Lock()
	defer c.conn.mu.Unlock()
	if c.gone {
		c.conn.account.add(-takes)
		return nil
	}
	c.answers = append(c.answers, answer{n + frames.PrefixBytes, takes})
	return nil
}

// wrote says that n bytes of answers were written. conn.mu is held.
func (c *call) wrote(n int64) {
	for n > 0 && len(c.answers) > 0 {
		first := &c.answers[0]
		k := min(n, first.left)
		n -= k
		if first.left -= k; first.left == 0 {
			c.conn.account.add(-first.takes)
			c.answers = c.answers[1:]
		}
	}
}

// Take implements room.Giver.
func (c *call) Take(ctx context.Context, n int64) (release func(), err error) {
	if err := c.conn.account.take(ctx, n); err != nil {
		return nil, err
	}
	return sync.OnceFunc(func() { c.conn.account.add(-n) }), nil
}

// begin says that somebody works for the call.
func (c *call) begin() {
	c.conn.serving.Add(1)
	c.conn.mu.Lock()
	defer c.conn.mu.Unlock()
	c.serving = true
}

// end says that nobody does any more.
func (c *call) end() {
	c.conn.serving.Add(-1)
	c.forgets()
	c.conn.mu.Lock()
	defer c.conn.mu.Unlock()
	c.serving = false
	switch {
	case c.gone:
		c.finish()
	case len(c.answers) > 0:
		c.unread = time.AfterFunc(unreadTime, func() { c.conn.cut("an answer was not read") })
	}
}

// over says that gRPC has done with the stream. conn.mu is held.
func (c *call) over() {
	c.gone = true
	c.wake()
	if c.unread != nil {
		c.unread.Stop()
	}
	if !c.serving {
		c.finish()
	}
}

// finish gives all back that there is. gRPC may begin to work for a call that is over.
// conn.mu is held.
func (c *call) finish() {
	takes := c.own + c.early + c.ahead + c.read
	for _, a := range c.queue {
		takes += a.takes
	}
	for _, a := range c.answers {
		takes += a.takes
	}
	c.own, c.early, c.ahead, c.read, c.queue, c.answers = 0, 0, 0, 0, nil, nil
	c.conn.account.add(-takes)
	if c.counted {
		c.counted = false
		c.conn.gate.leave(c.conn, c.client)
	}
}
