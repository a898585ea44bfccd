package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/api/client"
)

// maxTold bounds what is told of a log, in bytes, when a node did not start.
const maxTold = 4 << 10

// detach starts a node as a process of its own session and waits until it is
// ready or has failed.
func (a *app) detach(ctx context.Context, o upFlags) error {
	log, err := openLog(o.config.Home)
	if err != nil {
		return err
	}
	defer log.Close()
	info, err := log.Stat()
	if err != nil {
		return fmt.Errorf("open the node's log: %w", err)
	}
	// Not CommandContext: it must outlive us, and so must not end with ctx.
	cmd := exec.Command(a.sys.Executable, o.arguments()...) //nolint:noctx // see above
	cmd.Env = a.sys.Environ
	if o.config.Join != "" {
		cmd.Env = append(slices.Clone(cmd.Env), joinEnv+"="+o.config.Join)
	}
	cmd.Dir = string(os.PathSeparator)
	cmd.Stderr = log
	cmd.SysProcAttr = ownSession()
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("start the node: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the node: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(os.Interrupt) })
	defer stop()
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil && !isProblem(line) {
		return a.detached(ctx, line, o)
	}
	err = cmd.Wait()
	if wasSignalled(ctx) {
		return errInterrupted
	}
	return startFailed(err, tail(log.Name(), info.Size()))
}

// isProblem reports whether the process says why it has no node.
func isProblem(line []byte) bool {
	var p problem
	return json.Unmarshal(line, &p) == nil && p.Event == api.ErrorEvent
}

// arguments are those of the process that runs the node.
func (o upFlags) arguments() []string {
	args := []string{"--home", o.config.Home, "node", "up", "--json"}
	for _, f := range []struct{ name, value string }{
		{"--listen", o.config.Listen}, {"--api", o.config.API}, {"--reapi", o.config.REAPI}, {"--mesh", o.config.Mesh},
	} {
		if f.value != "" {
			args = append(args, f.name, f.value)
		}
	}
	if o.config.Slots > 0 {
		args = append(args, "--slots", strconv.Itoa(o.config.Slots))
	}
	return args
}

// detached passes the ready line on.
func (a *app) detached(ctx context.Context, line []byte, o upFlags) error {
	var r ready
	if err := json.Unmarshal(line, &r); err != nil {
		return fmt.Errorf("the node said %q: %w", line, err)
	}
	st, err := client.New(o.config.Home).Status(ctx)
	if err != nil {
		return fmt.Errorf("ask the node that has just started: %w; see %s in %s", err, logName, o.config.Home)
	}
	return a.printReady(st, o)
}

// startFailed says what the node's process told before it ended, with its exit
// status.
func startFailed(err error, told string) error {
	const prefix = "buildnet: "
	if i := strings.LastIndex(told, "\n"+prefix); i >= 0 {
		told = told[i+1:]
	}
	told = strings.TrimSpace(strings.TrimPrefix(told, prefix))
	if told == "" {
		told = fmt.Sprintf("the node did not start: %v", err)
	}
	failure := errors.New(told)
	var exited *exec.ExitError
	if errors.As(err, &exited) {
		switch exited.ExitCode() {
		case exitUsage:
			return usage{failure}
		case exitUnreachable:
			return unreachable{failure}
		}
	}
	return failure
}

// tail returns the end of what was written to a file since it had this size.
func tail(path string, since int64) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	from := max(since, info.Size()-maxTold)
	var b bytes.Buffer
	// What can be read is told; there is nothing better to tell.
	_, _ = io.Copy(&b, io.NewSectionReader(f, from, maxTold))
	return b.String()
}
