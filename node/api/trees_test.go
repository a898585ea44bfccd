package api_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/api/apitest"
	"github.com/buildnet/buildnet/node/api/client"
	"github.com/buildnet/buildnet/node/event"
)

func TestTreeCarriesBytesBothWays(t *testing.T) {
	n := &apitest.Node{OnBuild: func(_ context.Context, r api.BuildRequest, emit func(event.Event)) error {
		if _, err := r.Tree.Write([]byte("ping\n")); err != nil {
			return err
		}
		said, err := bufio.NewReader(r.Tree).ReadString('\n')
		if err != nil || said != "pong\n" {
			return fmt.Errorf("the client said %q, %w", said, err)
		}
		emit(event.BuildFinished{Build: "b", OK: true})
		return nil
	}}
	c := serve(t, n, api.Options{}).client
	id, stream, err := c.OfferTree(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	said := make(chan string, 1)
	go func() {
		r := bufio.NewReader(stream)
		line, _ := r.ReadString('\n')
		_, _ = stream.Write([]byte("pong\n"))
		rest, _ := io.ReadAll(r) // ends when the build has
		said <- line + string(rest)
	}()
	if err := c.Build(t.Context(), api.BuildRequest{Dir: "/p", TreeID: id}, func([]byte) error { return nil }); err != nil {
		t.Error(err)
	}
	if got := <-said; got != "ping\n" {
		t.Errorf("the node said %q", got)
	}
	var e *api.Error
	if err := c.Build(t.Context(), api.BuildRequest{Dir: "/p", TreeID: id}, nil); !errors.As(err, &e) || e.Kind != api.NotFound {
		t.Errorf("a tree taken twice: %v", err)
	}
}

func TestTreesThatNoBuildTakesAreBoundedAndClosed(t *testing.T) {
	s := serve(t, &apitest.Node{}, api.Options{})
	var streams []client.Stream
	for {
		_, stream, err := s.client.OfferTree(t.Context())
		if err != nil {
			var e *api.Error
			if !errors.As(err, &e) || e.Kind != api.Unavailable {
				t.Errorf("one tree too many: %v", err)
			}
			break
		}
		streams = append(streams, stream)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	for _, stream := range streams {
		if _, err := stream.Read(make([]byte, 1)); err == nil {
			t.Error("a tree stays open")
		}
		stream.Close()
	}
}
