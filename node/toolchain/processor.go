package toolchain

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"

	"github.com/buildnet/buildnet/store/digest"
)

// onProcessor is the digest of what has the digest plain, on a processor. It is none of a
// plain spec: the text that those are of begins with another word, see gathering.
func onProcessor(plain, processor string) string {
	return digest.Of(digest.BLAKE3, fmt.Appendf(nil, "native %q %q", plain, processor)).String()
}

// processor returns what a compiler can find out about the processor: its
// model and features. Where the system does not say, it is like no other.
var processor = sync.OnceValue(func() string {
	host, _ := os.Hostname()
	unknown := runtime.GOARCH + " of " + host
	in, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return unknown
	}
	defer in.Close()
	var text []string
	lines := bufio.NewScanner(in)
	for lines.Scan() && lines.Text() != "" { // the first of them stands for all
		name, value, _ := strings.Cut(lines.Text(), ":")
		switch strings.TrimSpace(name) {
		case "vendor_id", "cpu family", "model", "model name", "stepping", "flags", "Features", "CPU part", "CPU implementer", "CPU variant", "isa":
			text = append(text, strings.TrimSpace(value))
		}
	}
	if len(text) == 0 {
		return unknown
	}
	return strings.Join(text, "\n")
})
