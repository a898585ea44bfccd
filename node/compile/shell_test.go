package compile_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/buildnet/buildnet/node/compile"
)

func TestWordsOfSimpleCommands(t *testing.T) {
	for in, want := range map[string][]string{
		"gcc -c  a.c\t-o a.o ": {"gcc", "-c", "a.c", "-o", "a.o"},
		`gcc -DA=\"x\" "b c"`:  {"gcc", `-DA="x"`, "b c"},
		`gcc '-DA="x y"' ''`:   {"gcc", `-DA="x y"`, ""},
		`gcc "\$a\\b\c\""`:     {"gcc", `$a\b\c"`},
		`gcc a#b c~d {x} !`:    {"gcc", "a#b", "c~d", "{x}", "!"},
	} {
		got, ok := compile.Words(in)
		if diff := cmp.Diff(want, got); !ok || diff != "" {
			t.Errorf("%s: %v %s", in, ok, diff)
		}
	}
	for _, in := range []string{
		"", " ", "cd x && gcc", "gcc; ls", "gcc | cat", "gcc > x", "gcc < x", "gcc &", "(gcc)", "gcc $X", "gcc \"$X\"", "gcc `x`", "gcc *.c", "gcc a?",
		"gcc [a]", "gcc #x", "gcc ~/x", "gcc\nls", "X=1 gcc", "gcc 'x", `gcc "x`, `gcc \`, "if gcc", "! gcc", ": gcc", "gcc \\\nx",
	} {
		if words, ok := compile.Words(in); ok {
			t.Errorf("%q is simple: %q", in, words)
		}
	}
}

func TestCommandsOneAfterTheOther(t *testing.T) {
	for in, want := range map[string][][]string{
		"a b":                      {{"a", "b"}},
		": && gcc a.o&&:":          {{":"}, {"gcc", "a.o"}, {":"}},
		"cd 'x y' && ar rc \"&&\"": {{"cd", "x y"}, {"ar", "rc", "&&"}},
	} {
		got, ok := compile.Commands(in)
		if diff := cmp.Diff(want, got); !ok || diff != "" {
			t.Errorf("%s: %v %s", in, ok, diff)
		}
	}
	for _, in := range []string{"", "a &&", "&& a", "a && && b", "a & b", "a &&& b", "a || b", "a; b", "a && X=1 b", "a && exec b", "a &&\nb", "a && (b)"} {
		if got, ok := compile.Commands(in); ok {
			t.Errorf("%q is simple: %q", in, got)
		}
	}
}

// What is simple is what /bin/sh makes of it.
func TestWordsAreTheShells(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no shell")
	}
	rapid.Check(t, func(t *rapid.T) {
		in := "printf " + rapid.StringOfN(rapid.SampledFrom([]rune("ab  \t\\\\\"\"''$*#~=;{}!-@%")), 1, 14, -1).Draw(t, "command")
		words, ok := compile.Words(in)
		if !ok {
			return
		}
		script := strings.Replace(in, "printf ", `printf '%s\n' `, 1)
		out, err := exec.Command(sh, "-c", script).Output()
		if err != nil {
			t.Fatalf("%s: %v", script, err)
		}
		got := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
		if want := words[1:]; !slices.Equal(got, want) && len(want) > 0 {
			t.Fatalf("%s: %q, the shell has %q", in, want, got)
		}
	})
}

func FuzzWords(f *testing.F) {
	f.Add(`gcc "a\"b" 'c' d\ e`)
	f.Fuzz(func(t *testing.T, in string) {
		words, ok := compile.Words(in)
		if !ok {
			return
		}
		// Quoted again, the words are the same.
		quoted := make([]string, len(words))
		for i, w := range words {
			quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
		again, ok := compile.Words(strings.Join(quoted, " "))
		if !ok || !slices.Equal(words, again) {
			t.Fatalf("%q is %q, and quoted %q", in, words, again)
		}
	})
}
