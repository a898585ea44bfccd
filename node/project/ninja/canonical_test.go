package ninja_test

import (
	"strings"
	"testing"

	"github.com/buildnet/buildnet/node/project/ninja"
)

// TestCanonical covers ninja's util_test for canonical paths: PathSamples,
// UpDir, AbsolutePath and TooManyComponents, which is a limit there and none
// here. PathSamplesWindows, SlashTracking and CanonicalizeNotExceedingLen are
// for backslashes that are slashes; NotNullTerminated is for C. The rest of
// util_test is of the terminal, not of paths.
func TestCanonical(t *testing.T) {
	for in, want := range map[string]string{
		"":                                     "",
		"a.h":                                  "a.h",
		"./a.h":                                "a.h",
		"./a/./b.h":                            "a/b.h",
		"./a/b/../c.h":                         "a/c.h",
		"./a/b/../../c.h":                      "c.h",
		"a//b":                                 "a/b",
		"a//.//..///b":                         "b",
		"./a/../b/../../c.h":                   "../c.h",
		"a/./.":                                "a",
		"a/b/..":                               "a",
		"a/.b":                                 "a/.b",
		"a/..b/...":                            "a/..b/...",
		".a":                                   ".a",
		"/a":                                   "/a",
		"//a":                                  "/a",
		"/":                                    "",
		"/a/..":                                "",
		"/.":                                   "",
		"/..":                                  "/..",
		"/../a":                                "/../a",
		".":                                    ".",
		"./.":                                  ".",
		"a/..":                                 ".",
		"..":                                   "..",
		"../":                                  "..",
		"../..":                                "../..",
		"..//a":                                "../a",
		".././a":                               "../a",
		"../../a/b.h":                          "../../a/b.h",
		"../a/../../b":                         "../../b",
		"a/../../b/c.h":                        "../b/c.h",
		"/usr/include/stdio.h":                 "/usr/include/stdio.h",
		"a/":                                   "a",
		`a\b\..\c`:                             `a\b\..\c`,
		"a b/./c":                              "a b/c",
		strings.Repeat("a/", 90):               strings.Repeat("a/", 89) + "a",
		strings.Repeat("a/./", 90) + "b.h":     strings.Repeat("a/", 90) + "b.h",
		strings.Repeat("a/../", 90) + "../b.h": "../b.h",
	} {
		if got := ninja.Canonical(in); got != want {
			t.Errorf("Canonical(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzCanonical(f *testing.F) {
	for _, s := range []string{"a/../b", "..//a", "/./..", "./.", "a//b/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		once := ninja.Canonical(path)
		if twice := ninja.Canonical(once); twice != once {
			t.Errorf("Canonical(%q) = %q, whose canonical path is %q", path, once, twice)
		}
		if len(once) > max(len(path), 1) {
			t.Errorf("Canonical(%q) = %q is longer", path, once)
		}
		for i, component := range strings.Split(once, "/") {
			if once != "." && (component == "." || component == "" && i > 0) {
				t.Errorf("Canonical(%q) = %q", path, once)
			}
		}
	})
}
