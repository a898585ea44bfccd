package toolchain

import (
	"bufio"
	"os"
	"runtime"
	"strings"
	"sync"
)

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
