package reapi

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"

	"github.com/buildnet/buildnet/node/reapi/caller"
)

// DefaultListen is where a node serves unless it is told another place.
const DefaultListen = "127.0.0.1:9877"

// minSecretBytes keeps keys from being guessed.
const minSecretBytes = 16

// ErrExposed says that other machines could reach the server, and that it lacks
// what keeps them out.
var ErrExposed = errors.New("an address that other machines can reach needs TLS and keys")

// Options may be zero: a server on this machine's own address, for everybody on
// the machine, with capabilities alone.
type Options struct {
	// Listen is HOST:PORT, whose port may be 0; empty is DefaultListen.
	Listen string
	// TLS has the server's certificate; nil is no TLS.
	TLS *tls.Config
	// Keys are the clients who may call; with none everybody may who can reach
	// the port.
	Keys []Key
	// Open is the role of everybody, where no keys are; 0 is Builder.
	Open caller.Role
	Log  *slog.Logger
	// Services are served beside capabilities, health and reflection.
	Services []Service
	// Greeted, if not nil, is called when a client asks what this server can do,
	// which is before its first action. It must not block.
	Greeted func()
}

// Key is one client's.
type Key struct {
	// Name is for logs; two keys may have the same, and are one client then.
	Name string
	// Secret is what the client sends as "authorization: Bearer SECRET" or as
	// "x-api-key: SECRET".
	Secret string
	Role   caller.Role
}

func (o *Options) listen() string {
	if o.Listen == "" {
		return DefaultListen
	}
	return o.Listen
}

func (o *Options) check() error {
	for _, k := range o.Keys {
		if len(k.Secret) < minSecretBytes {
			return fmt.Errorf("key %q of the Remote Execution API: a secret of %d bytes, at least %d are needed", k.Name, len(k.Secret), minSecretBytes)
		}
		if k.Role != caller.Builder && k.Role != caller.Writer {
			return fmt.Errorf("key %q of the Remote Execution API: no role", k.Name)
		}
	}
	host, _, err := net.SplitHostPort(o.listen())
	if err != nil {
		return fmt.Errorf("listen for the Remote Execution API: %w; want HOST:PORT", err)
	}
	if !loopback(host) && (o.TLS == nil || len(o.Keys) == 0) {
		return fmt.Errorf("listen for the Remote Execution API on %s: %w; give both, or listen on %s", o.listen(), ErrExposed, DefaultListen)
	}
	return nil
}

// loopback reports whether host is this machine alone. Of names only localhost
// is: what others resolve to may be another address when it matters.
func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback() || host == "localhost"
}
