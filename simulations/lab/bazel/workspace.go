//go:build lab && linux

package bazel

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// libraries is how many the workspace has: an object, an archive and a shared
// library each.
const libraries = 26

// writeWorkspace writes some 120 actions: libraries that use each other, programs,
// tests, and one of each thing that a server may get wrong.
func writeWorkspace(t testing.TB, dir string) {
	t.Helper()
	for name, text := range map[string]string{
		"WORKSPACE": "workspace(name = \"mill\")\n", "stones/BUILD": stones(), "mill/BUILD": mill, "mill/main.cc": millMain(), "mill/grain_test.cc": grainTest,
		"flour/BUILD": flour, "flour/sack.bzl": sack, "flour/year.txt": "1817\n", "links/BUILD": links,
	} {
		write(t, filepath.Join(dir, name), text)
	}
	for i := range libraries {
		write(t, filepath.Join(dir, fmt.Sprintf("stones/stone%d.h", i)), fmt.Sprintf("#pragma once\n#include <string>\nstd::string stone%d();\n", i))
		write(t, filepath.Join(dir, fmt.Sprintf("stones/stone%d.cc", i)), stone(i))
	}
}

// below is the library that one uses; itself is none.
func below(i int) int { return i / 3 }

func stones() string {
	var b strings.Builder
	b.WriteString("package(default_visibility = [\"//visibility:public\"])\n")
	for i := range libraries {
		deps := ""
		if i > 0 {
			deps = fmt.Sprintf("\":stone%d\"", below(i))
		}
		fmt.Fprintf(&b, "cc_library(name = \"stone%d\", srcs = [\"stone%d.cc\"], hdrs = [\"stone%d.h\"], deps = [%s])\n", i, i, i, deps)
	}
	return b.String()
}

func stone(i int) string {
	use, call := "", "\"\""
	if i > 0 {
		use, call = fmt.Sprintf("#include \"stones/stone%d.h\"\n", below(i)), fmt.Sprintf("stone%d()", below(i))
	}
	return fmt.Sprintf(`#include "stones/stone%d.h"
#include <map>
#include <sstream>
%s
std::string stone%d() {
  std::map<char, int> seen;
  for (char c : std::string("%s")) ++seen[c];
  std::ostringstream out;
  for (const auto& s : seen) out << s.first << s.second;
  return out.str() + %s;
}
`, i, use, i, strings.Repeat("grind ", i+1), call)
}

const mill = `cc_binary(
    name = "mill",
    srcs = ["main.cc"],
    deps = ["//flour:year"] + ["//stones:stone%d" % i for i in range(26)],
)
genrule(name = "ground", outs = ["ground.txt"], tools = [":mill"], cmd = "$(location :mill) >$@")
cc_test(name = "grain_test", srcs = ["grain_test.cc"], deps = ["//stones:stone0"])
cc_test(name = "sieve_test", srcs = ["grain_test.cc"], deps = ["//stones:stone0"], linkstatic = True)
`

func millMain() string {
	var b strings.Builder
	b.WriteString("#include <cstdio>\n#include \"flour/year.h\"\n")
	for i := range libraries {
		fmt.Fprintf(&b, "#include \"stones/stone%d.h\"\n", i)
	}
	b.WriteString("int main() {\n  std::printf(\"since %d\\n\", YEAR);\n")
	for i := range libraries {
		fmt.Fprintf(&b, "  std::puts(stone%d().c_str());\n", i)
	}
	b.WriteString("}\n")
	return b.String()
}

const grainTest = `#include <cstdio>
#include "stones/stone0.h"
int main() {
  std::puts(stone0().c_str());
  return stone0().empty();
}
`

// flour has a header that is made, more outputs than one, a blob larger than a
// message, an empty file, and a directory.
const flour = `load(":sack.bzl", "sack")
genrule(name = "year_h", srcs = ["year.txt"], outs = ["year.h"], cmd = "echo \"#define YEAR $$(cat $<)\" >$@")
cc_library(name = "year", hdrs = ["year.h"], visibility = ["//visibility:public"])
genrule(
    name = "kinds",
    outs = ["kind%d.txt" % i for i in range(8)],
    cmd = "for k in $(OUTS); do echo $$k | tr a-z A-Z >$$k; done",
)
genrule(name = "heap", outs = ["heap.txt"], cmd = "seq 1 1000000 >$@")
genrule(name = "heap_size", srcs = ["heap.txt"], outs = ["heap.size"], cmd = "wc -c <$< >$@")
genrule(name = "dust", outs = ["dust.txt"], cmd = "true >$@")
genrule(name = "dust_size", srcs = ["dust.txt"], outs = ["dust.size"], cmd = "wc -c <$< >$@")
sack(name = "sack")
genrule(name = "sack_list", srcs = [":sack"], outs = ["sack.list"], cmd = "(cd $< && find -L . -type f | sort | xargs cksum) >$@")
`

const sack = `"""Directories as outputs."""

def _sack(ctx):
    out = ctx.actions.declare_directory(ctx.label.name)
    fill = "mkdir -p $1/fine/white $1/coarse && seq 3 >$1/fine/white/three && seq 5 >$1/coarse/five && true >$1/coarse/none"
    if ctx.attr.link:
        fill += " && ln -s fine/white/three $1/best"
    ctx.actions.run_shell(outputs = [out], command = fill, arguments = [out.path], mnemonic = "Fill", use_default_shell_env = True)
    return [DefaultInfo(files = depset([out]))]

sack = rule(implementation = _sack, attrs = {"link": attr.bool()})
`

// links are a package of their own: with --remote_download_minimal Bazel 4 does not
// take outputs that are links.
const links = `load("//flour:sack.bzl", "sack")
genrule(
    name = "sign",
    outs = ["board.txt", "sign.txt"],
    cmd = "echo this way >$(RULEDIR)/board.txt && ln -s board.txt $(RULEDIR)/sign.txt",
)
genrule(name = "read", srcs = ["sign.txt"], outs = ["read.txt"], cmd = "cat $< >$@")
sack(name = "sack", link = True)
genrule(name = "best", srcs = [":sack"], outs = ["best.txt"], cmd = "cat $</best >$@")
`
