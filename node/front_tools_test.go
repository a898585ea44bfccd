package node

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/buildnet/buildnet/node/reapi/fault"
	"github.com/buildnet/buildnet/node/toolchain"
)

// deadMount is a prober of programs below a mount whose server is gone, until back.
type deadMount struct{ back chan struct{} }

func (d deadMount) Digest(context.Context, toolchain.Spec) (string, error) {
	<-d.back
	return "digest", nil
}

func (deadMount) Silent(context.Context) []string { return []string{"/nas/bin"} }

func TestWhoWaitsForProgramsThatDoNotAnswerIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		d := deadMount{make(chan struct{})}
		c := newClientTools(d, slog.New(slog.NewTextHandler(&log, nil)))
		ended := make(chan error, 2)
		ask := func(ctx context.Context) {
			_, _, err := c.of(ctx, nil)
			ended <- err
		}
		go ask(t.Context())
		time.Sleep(slowTime - time.Second)
		if said := c.note(); said != "" {
			t.Errorf("after %v it is said %q", slowTime-time.Second, said)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if !strings.Contains(c.note(), "/nas/bin") || !strings.Contains(log.String(), "/nas/bin") {
			t.Errorf("it is said %q, logged %q", c.note(), log.String())
		}
		gone, stop := context.WithCancel(t.Context())
		go ask(gone)
		synctest.Wait()
		stop()
		if err := <-ended; fault.Of(err).Code() != codes.Canceled {
			t.Errorf("who has gone: %v", err)
		}
		time.Sleep(lookTime - slowTime)
		synctest.Wait()
		for range 2 { // who comes later does not wait once more
			select {
			case err := <-ended:
				if s := fault.Of(err); s.Code() != codes.FailedPrecondition || !strings.Contains(s.Message(), "/nas/bin") || !strings.Contains(s.Message(), "umount") {
					t.Errorf("told %v", err)
				}
			default:
				t.Fatal("nobody is told")
			}
			go ask(t.Context())
			synctest.Wait()
		}
		close(d.back)
		synctest.Wait()
		if spec, digest, err := c.of(t.Context(), nil); err != nil || digest != "digest" || spec == "" || c.note() != "" {
			t.Errorf("when it answers: %q, %v; it is said %q", digest, err, c.note())
		}
		c.end()
	})
}

func TestANodeEndsWithoutFilesThatDoNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := deadMount{make(chan struct{})}
		c := newClientTools(d, slog.New(slog.DiscardHandler))
		ctx, stop := context.WithCancel(t.Context())
		go func() { _, _ = c.all(t.Context()) }()
		synctest.Wait()
		stop()
		began := time.Now()
		if err := c.run(ctx); err != nil || time.Since(began) != endTime {
			t.Errorf("it ends after %v: %v", time.Since(began), err)
		}
		close(d.back)
		synctest.Wait()
	})
}
