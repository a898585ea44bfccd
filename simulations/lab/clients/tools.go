//go:build lab && linux

// Package clients has real clients of the Remote Execution API build on a mesh of lab
// hosts, through one node and then through another. Bazel has a package of its own.
// What the Go module proxy and npm have is fetched and built, of one version each;
// other programs are looked for where BUILDNET_CLIENTS says, as docs/reapi.md has it.
// Start reading at TestClients.
package clients

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

const (
	sdkModule  = "github.com/bazelbuild/remote-apis-sdks"
	sdkVersion = "v0.0.0-20260610142741-7ffd493e6686"

	bazelPackage = "@bazel/bazel-linux_x64"
	bazelVersion = "2.1.0"
)

// sdk builds remotetool, rexec and the program of testdata/sdk, which move blobs as
// reclient and please do. The go command checks what it downloads, and keeps it.
func sdk(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	main, err := os.ReadFile("testdata/sdk/main.go")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "main.go"), string(main))
	write(t, filepath.Join(dir, "go.mod"), "module sdk\n\ngo 1.26\n\nrequire "+sdkModule+" "+sdkVersion+"\n")
	fetched(t, dir, "go", "mod", "download", sdkModule)
	build := []string{"build", "-mod=mod", "-o", dir + "/", ".", sdkModule + "/go/cmd/remotetool", sdkModule + "/go/cmd/rexec"}
	if out, err := in(dir, "go", build...); err != nil {
		t.Fatalf("build the tools of %s: %v: %s", sdkModule, err, out)
	}
	return dir
}

// oldBazel fetches a Bazel of 2020, of the version that npm has.
func oldBazel(t *testing.T) (program string) {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skip(err)
	}
	dir := filepath.Join(cache, "buildnet", "clients")
	program = filepath.Join(dir, "package", "bazel-"+bazelVersion+"-linux-x86_64")
	if _, err := os.Stat(program); err == nil {
		return program
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	fetched(t, dir, "npm", "pack", bazelPackage+"@"+bazelVersion)
	if out, err := in(dir, "tar", "xzf", "bazel-bazel-linux_x64-"+bazelVersion+".tgz"); err != nil {
		t.Fatalf("unpack Bazel: %v: %s", err, out)
	}
	if err := os.Chmod(program, 0o755); err != nil {
		t.Fatal(err)
	}
	return program
}

// fetched skips the test where a machine cannot have what a command downloads.
func fetched(t *testing.T, dir, program string, args ...string) {
	t.Helper()
	if out, err := in(dir, program, args...); err != nil {
		t.Skipf("this machine cannot get at it: %s %v: %v: %s", program, args, err, out)
	}
}

func in(dir, program string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(context.Background(), program, args...)
	cmd.Dir = dir
	return cmd.CombinedOutput()
}

// brought is a program that this machine's user has built.
func brought(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("BUILDNET_CLIENTS")
	p := filepath.Join(dir, name)
	if _, err := os.Stat(p); dir == "" || err != nil {
		t.Skipf("no %s: set BUILDNET_CLIENTS to a directory that has it; docs/reapi.md says how it is built", name)
	}
	return p
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}
