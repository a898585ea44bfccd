package node_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/buildnet/buildnet/node"
	"github.com/buildnet/buildnet/node/event"
	"github.com/buildnet/buildnet/node/nodetest"
)

// hello is a project of five steps: three compiles, a link and a run.
var hello = map[string]string{
	".buildnet/config.yaml": `version: 1
packages:
  - name: hello
    path: .
    steps:
      - foreach: "*.c"
        run: ["cc", "-c", "{in}", "-o", "obj/{stem}.o"]
        inputs: ["*.h"]
        outputs: ["obj/{stem}.o"]
      - run: ["cc", "{outputs:obj/*.o}", "-o", "hello"]
        outputs: ["hello"]
      - run: "./hello > hello.txt"
        inputs: ["hello"]
        outputs: ["hello.txt"]
`,
	"text.h":  "const char *text(void); int number(void);\n",
	"text.c":  "#include \"text.h\"\nconst char *text(void) { return \"hello\"; }\n",
	"count.c": "#include \"text.h\"\nint number(void) { return 7; }\n",
	"main.c":  "#include <stdio.h>\n#include \"text.h\"\nint main(void) { printf(\"%s %d\\n\", text(), number()); return 0; }\n",
}

func TestBuildAloneThenSkipThenRestore(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t, 0, "")
	root := nodetest.Tree(t, hello)
	f := n.Build(t, root)
	if !f.OK || f.Executed != 5 || f.Tier != event.Full {
		t.Fatalf("first build: %+v", f)
	}
	if got, err := os.ReadFile(filepath.Join(root, "hello.txt")); err != nil || string(got) != "hello 7\n" {
		t.Fatalf("it made %q, %v", got, err)
	}
	if f := n.Build(t, root); f.Tier != event.InstantSkip || f.Skipped != 5 {
		t.Errorf("nothing changed: %+v", f)
	}
	if err := os.Remove(filepath.Join(root, "hello")); err != nil {
		t.Fatal(err)
	}
	if f := n.Build(t, root); f.Tier != event.Restore || f.Executed != 0 || f.CachedLocal != 1 {
		t.Errorf("an output deleted: %+v", f)
	}
	comment := hello["text.c"] + "/* changed */\n"
	if err := os.WriteFile(filepath.Join(root, "text.c"), []byte(comment), 0o644); err != nil {
		t.Fatal(err)
	}
	if f := n.Build(t, root); f.Executed != 1 || f.Tier != event.Incremental {
		t.Errorf("a comment: %+v", f)
	}
}

func TestMeshBuildsAndServesWhatItBuilt(t *testing.T) {
	t.Parallel()
	nodes := nodetest.Mesh(t, 3, 0)
	if f := nodes[0].Build(t, nodetest.Tree(t, hello)); !f.OK || f.Executed != 5 {
		t.Fatalf("first build: %+v", f)
	}
	for _, n := range nodes[1:] {
		f := n.Build(t, nodetest.Tree(t, hello))
		if !f.OK || f.Executed != 0 {
			t.Errorf("a copy elsewhere: %+v", f)
		}
	}
}

func TestSecondNodeOnAHomeIsRefused(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t, 0, "")
	again, err := node.New(node.Config{Home: n.Home, Listen: "127.0.0.1:0", API: node.NoAPI})
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Run(t.Context()); !errors.Is(err, node.ErrHomeInUse) {
		t.Errorf("Run = %v, want ErrHomeInUse", err)
	}
}
