package execute_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/buildnet/buildnet/node"
	"github.com/buildnet/buildnet/node/api"
	"github.com/buildnet/buildnet/node/nodetest"
	"github.com/buildnet/buildnet/node/toolchain"
)

// modest is a machine that has little more than a shell: to look at all that is
// installed on this one takes seconds of a processor, for each process of a test.
func modest(t testing.TB) node.Machine {
	t.Helper()
	programs := t.TempDir()
	if err := os.Symlink("/bin/sh", filepath.Join(programs, "sh")); err != nil {
		t.Fatal(err)
	}
	return node.Machine{Toolchains: toolchain.New(toolchain.Options{Path: programs, System: t.TempDir()})}
}

// one starts a node on a modest machine.
func one(t testing.TB, slots int) *nodetest.Node {
	t.Helper()
	return nodetest.StartOn(t, modest(t), slots, "")
}

// two starts nodes on modest machines that know each other, each with two slots.
func two(t testing.TB) (first, second *nodetest.Node) {
	t.Helper()
	machine := modest(t)
	first = nodetest.StartOn(t, machine, 2, "")
	inv, err := first.Client.Invite(t.Context(), api.InviteRequest{Reach: api.Everywhere})
	if err != nil {
		t.Fatal(err)
	}
	second = nodetest.StartOn(t, machine, 2, inv.Token)
	first.Meets(t, 2)
	second.Meets(t, 2)
	return first, second
}
