//go:build unix

package dht_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"syscall"
	"testing"
	"time"
)

// BenchmarkTLS is what BenchmarkQUIC is compared with: as many bytes over plain
// TCP with TLS, both ends in this process as there.
func BenchmarkTLS(b *testing.B) {
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate(b)}})
	if err != nil {
		b.Fatal(err)
	}
	content := noise(1, 64<<20)
	go serveAll(l, content)
	defer func() { _ = l.Close() }()
	b.SetBytes(int64(len(content)))
	before := cpu()
	for b.Loop() {
		c, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			b.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, c); err != nil || n != int64(len(content)) {
			b.Fatalf("%d bytes: %v", n, err)
		}
		_ = c.Close()
	}
	reportCPU(b, before, int64(len(content)))
}

func serveAll(l net.Listener, content []byte) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = c.Write(content)
		_ = c.Close()
	}
}

func certificate(b *testing.B) tls.Certificate {
	b.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		b.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}
}

// cpu is the CPU time that this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// reportCPU reports the CPU seconds that a GiB costs, both ends together.
func reportCPU(b *testing.B, before time.Duration, bytes int64) {
	moved := float64(b.N) * float64(bytes) / (1 << 30)
	b.ReportMetric((cpu()-before).Seconds()/moved, "cpu-s/GiB")
}
