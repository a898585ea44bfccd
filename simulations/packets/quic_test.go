package packets

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"testing"
	"time"

	"github.com/buildnet/buildnet/simulations/network"
	"github.com/quic-go/quic-go"
)

func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// quicPair is a connection from host 0 to host 1, as each sees it.
func quicPair(t *testing.T, n *Net) (a, b *quic.Conn) {
	t.Helper()
	there := &quic.Transport{Conn: listen(t, n.Host(1), 1)}
	here := &quic.Transport{Conn: listen(t, n.Host(0), 1)}
	t.Cleanup(func() {
		for _, x := range []*quic.Transport{here, there} {
			if err := x.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	l, err := there.Listen(&tls.Config{Certificates: []tls.Certificate{certificate(t)}, NextProtos: []string{"x"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	a, err = here.Dial(t.Context(), at(n.Host(1), 1), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"x"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, err = l.Accept(t.Context()); err != nil {
		t.Fatal(err)
	}
	return a, b
}

// send moves bytes from a to b and returns the time it took.
func send(t *testing.T, a, b *quic.Conn, bytes int64) time.Duration {
	t.Helper()
	began, failed := time.Now(), make(chan error, 1)
	go func() {
		s, err := a.OpenStreamSync(context.Background())
		if err == nil {
			_, err = io.CopyN(s, zeros{}, bytes)
		}
		if err == nil {
			err = s.Close()
		}
		failed <- err
	}()
	s, err := b.AcceptStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, s); err != nil || n != bytes {
		t.Fatalf("%d bytes came: %v", n, err)
	}
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	return time.Since(began)
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

func TestQUICFillsALink(t *testing.T) {
	const bandwidth, bytes = 12.5e6, 32 << 20
	for _, c := range []struct {
		loss  float64
		least float64 // share of the link
	}{{0, 0.8}, {0.001, 0.1}} {
		bubble(t, one(2, network.Path{Latency: 10 * time.Millisecond, Bandwidth: bandwidth, Loss: c.loss}), func(t *testing.T, n *Net) {
			a, b := quicPair(t, n)
			took := send(t, a, b, bytes)
			share := bytes / took.Seconds() / bandwidth
			t.Logf("loss %g: %s, %.0f %% of the link, drops %+v", c.loss, took, 100*share, n.Drops())
			if share < c.least || share > 1 {
				t.Errorf("loss %g: %.0f %% of the link", c.loss, 100*share)
			}
		})
	}
}
