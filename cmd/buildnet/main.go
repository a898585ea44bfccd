// Command buildnet is the node and its command line.
package main

import (
	// First: when this process is to be an action's sandbox, it takes over and
	// never returns.
	_ "github.com/buildnet/buildnet/node/exec/child"
	// Then: when it is a build that has nothing to do, it says so and ends.
	_ "github.com/buildnet/buildnet/cmd/buildnet/first"

	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"golang.org/x/term"

	"github.com/buildnet/buildnet/cmd/buildnet/cli"
	"github.com/buildnet/buildnet/node/doze"
	"github.com/buildnet/buildnet/node/host"
	"github.com/buildnet/buildnet/node/ninja"
)

// twoSignals is enough for the first and the second Ctrl-C.
const twoSignals = 2

// ninjaName is the name under which this program is ninja.
const ninjaName = "ninja"

func main() {
	if filepath.Base(os.Args[0]) == ninjaName {
		process := ninja.ThisProcess()
		process.Elsewhere = cli.NodeThatRuns(process.Environ)
		os.Exit(ninja.Program(os.Args[1:], process))
	}
	executable, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, "buildnet: find this program:", err)
		os.Exit(1)
	}
	signals := make(chan os.Signal, twoSignals)
	signal.Notify(signals, cli.EndSignals...)
	os.Exit(cli.Run(context.Background(), os.Args[1:], cli.System{
		Stdout: os.Stdout, Stderr: os.Stderr, Environ: os.Environ(), Screen: screen(),
		Signals: signals, Exit: os.Exit, Start: startNode, Executable: executable, Exec: syscall.Exec,
		Manifest: ninja.ThisProcess().Share, Doze: func() error { return doze.Once(host.Cores()) },
	}))
}

func screen() cli.Screen {
	if kind := os.Getenv("TERM"); kind == "" || kind == "dumb" || !term.IsTerminal(int(os.Stderr.Fd())) {
		return cli.Lines
	}
	return cli.Terminal
}
