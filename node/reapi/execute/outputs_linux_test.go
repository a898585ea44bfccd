package execute_test

import (
	"slices"
	"strings"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/store/digest"
)

// inputs has a program, a link and an empty directory for an action.
func inputs(t *testing.T, c *client) {
	root := c.putMessage(&repb.Directory{
		Files:       []*repb.FileNode{{Name: "run", Digest: c.put([]byte("#!/bin/sh\nrmdir void && cat in && ./not\n")), IsExecutable: true}},
		Directories: []*repb.DirectoryNode{{Name: "void", Digest: c.putMessage(&repb.Directory{})}},
		Symlinks:    []*repb.SymlinkNode{{Name: "in", Target: "run"}},
	})
	command := c.putMessage(&repb.Command{Arguments: []string{"./run"}})
	r := c.run(c.in("inputs"), c.putMessage(&repb.Action{CommandDigest: command, InputRootDigest: root}))
	if got := r.GetResult(); got.GetExitCode() != 127 || !strings.HasSuffix(c.read(got.GetStdoutDigest()), "./not\n") {
		t.Errorf("response %v", r)
	}
}

func paths(files []*repb.OutputFile) (all []string) {
	for _, f := range files {
		all = append(all, f.GetPath())
	}
	slices.Sort(all)
	return all
}

func outputs(t *testing.T, c *client) {
	w := shell("cp in a/b/deep; cp in top; chmod +x top; mkdir dir; cp in dir/x; cp in undeclared", "a/b/deep", "top", "dir", "missing")
	r := c.ok(c.run(c.in("outputs"), c.upload(w)))
	if got := paths(r.GetOutputFiles()); !slices.Equal(got, []string{"a/b/deep", "top"}) {
		t.Errorf("files %v", got)
	}
	for _, f := range r.GetOutputFiles() {
		if f.GetIsExecutable() != (f.GetPath() == "top") || c.read(f.GetDigest()) != "hello\n" {
			t.Errorf("file %v", f)
		}
	}
	if len(r.GetOutputDirectories()) != 1 || r.GetOutputDirectories()[0].GetPath() != "dir" {
		t.Errorf("directories %v", r.GetOutputDirectories())
	}
	// output_paths wins.
	w = shell("cp in old; cp in new", "new")
	w.command.OutputFiles = []string{"old"} //nolint:staticcheck // what is tested
	if got := paths(c.ok(c.run(c.in("outputs"), c.upload(w))).GetOutputFiles()); !slices.Equal(got, []string{"new"}) {
		t.Errorf("files %v", got)
	}
}

// wholeOutputs are an input root, and a working directory, that are outputs as a whole.
func wholeOutputs(t *testing.T, c *client) {
	for name, w := range map[string]*work{
		"by output_paths":       shell("mkdir d; cp in d/x; ln -s d/x l", ""),
		"by output_directories": shell("mkdir d; cp in d/x; ln -s d/x l"),
		"of a directory":        shell("cp ../in in; mkdir d; cp in d/x; ln -s d/x l", ""),
	} {
		switch name {
		case "by output_directories":
			w.command.OutputDirectories = []string{""} //nolint:staticcheck // what is tested
		case "of a directory":
			w.command.WorkingDirectory = "sub"
		}
		r := c.ok(c.run(c.in("whole"), c.upload(w)))
		if len(r.GetOutputDirectories()) != 1 || r.GetOutputDirectories()[0].GetPath() != "" {
			t.Fatalf("%s: %v", name, r)
		}
		var tree repb.Tree
		if err := proto.Unmarshal([]byte(c.read(r.GetOutputDirectories()[0].GetTreeDigest())), &tree); err != nil {
			t.Fatal(err)
		}
		root := tree.GetRoot()
		if len(root.GetFiles()) != 1 || len(root.GetDirectories()) != 1 || len(root.GetSymlinks()) != 1 || len(tree.GetChildren()) != 1 ||
			c.read(root.GetFiles()[0].GetDigest()) != "hello\n" {
			t.Errorf("%s: %v", name, &tree)
		}
	}
	r := c.ok(c.run(c.in("whole"), c.upload(shell("cp in d/x", "", "d/x"))))
	if got := paths(r.GetOutputFiles()); !slices.Equal(got, []string{"d/x"}) || len(r.GetOutputDirectories()) != 1 {
		t.Errorf("with a file in it: %v", r)
	}
}

func oldOutputs(t *testing.T, c *client) {
	for name, w := range map[string]*work{
		"a directory where a file was wanted": {command: &repb.Command{OutputFiles: []string{"x"}}},
		"a file where a directory was wanted": {command: &repb.Command{OutputDirectories: []string{"x"}}},
	} {
		script := "mkdir x; cp in x/y"
		if len(w.command.GetOutputFiles()) == 0 { //nolint:staticcheck // what is tested
			script = "rmdir x; cp in x"
		}
		s := shell(script)
		s.command.OutputFiles, s.command.OutputDirectories = w.command.OutputFiles, w.command.OutputDirectories //nolint:staticcheck // what is tested
		if got := c.fails(c.run(c.in("old"), c.upload(s)), codes.FailedPrecondition); !strings.Contains(got.Message(), `"x"`) {
			t.Errorf("%s: %v", name, got)
		}
	}
	w := shell("cp in f; cp in d/g")
	w.command.OutputFiles, w.command.OutputDirectories = []string{"f"}, []string{"d"} //nolint:staticcheck // what is tested
	r := c.ok(c.run(c.in("old"), c.upload(w)))
	if len(r.GetOutputFiles()) != 1 || len(r.GetOutputDirectories()) != 1 {
		t.Errorf("result %v", r)
	}
}

//nolint:staticcheck // the old fields are what is tested
func links(t *testing.T, c *client) {
	w := shell("cp in file; ln -s file l; mkdir d; cp in d/x; ln -s d m; ln -s nowhere n", "file", "d", "l", "m", "n")
	r := c.ok(c.run(c.in("links"), c.upload(w)))
	of := func(ls []*repb.OutputSymlink) (all []string) {
		for _, l := range ls {
			all = append(all, l.GetPath()+">"+l.GetTarget())
		}
		slices.Sort(all)
		return all
	}
	if got := of(r.GetOutputSymlinks()); !slices.Equal(got, []string{"l>file", "m>d", "n>nowhere"}) {
		t.Errorf("output_symlinks %v", got)
	}
	if got := of(r.GetOutputFileSymlinks()); !slices.Equal(got, []string{"l>file", "n>nowhere"}) {
		t.Errorf("output_file_symlinks %v", got)
	}
	if got := of(r.GetOutputDirectorySymlinks()); !slices.Equal(got, []string{"m>d"}) {
		t.Errorf("output_directory_symlinks %v", got)
	}
	w = shell("cp in file; ln -s file l; rmdir m; ln -s d m")
	w.command.OutputFiles, w.command.OutputDirectories = []string{"file", "l"}, []string{"d", "m"}
	r = c.ok(c.run(c.in("links"), c.upload(w)))
	if len(r.GetOutputSymlinks()) != 0 || len(r.GetOutputFileSymlinks()) != 1 || len(r.GetOutputDirectorySymlinks()) != 1 {
		t.Errorf("by the old fields: %v", r)
	}
	w = shell("ln -s d m")
	w.command.OutputFiles, w.command.OutputDirectories = []string{"m"}, []string{"d"}
	c.fails(c.run(c.in("links"), c.upload(w)), codes.FailedPrecondition)
}

func directories(t *testing.T, c *client) {
	for format, want := range map[repb.Command_OutputDirectoryFormat][2]bool{
		repb.Command_TREE_ONLY: {true, false}, repb.Command_DIRECTORY_ONLY: {false, true}, repb.Command_TREE_AND_DIRECTORY: {true, true},
	} {
		w := shell("mkdir -p out/empty out/sub/below; cp in out/sub/f; cp in out/sub/below/f; chmod +x out/sub/f out/sub/below/f; ln -s sub/f out/l; : > out/none", "out")
		w.command.OutputDirectoryFormat = format
		d := c.ok(c.run(c.in("dirs"), c.upload(w))).GetOutputDirectories()[0]
		if (d.GetTreeDigest() != nil) != want[0] || (d.GetRootDirectoryDigest() != nil) != want[1] {
			t.Errorf("%v: %v", format, d)
		}
		root := &repb.Directory{}
		if want[1] {
			if err := proto.Unmarshal([]byte(c.read(d.GetRootDirectoryDigest())), root); err != nil {
				t.Fatal(err)
			}
		} else {
			var tree repb.Tree
			if err := proto.Unmarshal([]byte(c.read(d.GetTreeDigest())), &tree); err != nil {
				t.Fatal(err)
			}
			root = tree.GetRoot()
			if len(tree.GetChildren()) != 3 {
				t.Errorf("children %v", tree.GetChildren())
			}
		}
		if len(root.GetDirectories()) != 2 || len(root.GetSymlinks()) != 1 || len(root.GetFiles()) != 1 {
			t.Errorf("%v: root %v", format, root)
		}
		if want[0] {
			canonical(t, c, d)
		}
	}
}

// canonical checks what remote_execution.proto says of OutputDirectory.tree_digest: the
// messages are encoded as clients would, parents come first, each directory once.
func canonical(t *testing.T, c *client, d *repb.OutputDirectory) {
	t.Helper()
	var tree repb.Tree
	encoded := c.read(d.GetTreeDigest())
	if err := proto.Unmarshal([]byte(encoded), &tree); err != nil {
		t.Fatal(err)
	}
	if again, err := (proto.MarshalOptions{Deterministic: true}).Marshal(&tree); err != nil || string(again) != encoded || !d.GetIsTopologicallySorted() {
		t.Errorf("the tree is %q, which encodes as %q, %v; sorted: %v", encoded, again, err, d.GetIsTopologicallySorted())
	}
	named := map[string]bool{}
	for i, dir := range append([]*repb.Directory{tree.GetRoot()}, tree.GetChildren()...) {
		content, err := proto.MarshalOptions{Deterministic: true}.Marshal(dir)
		if err != nil {
			t.Fatal(err)
		}
		if hash := digest.Of(c.fn, content).Hex(); i > 0 && !named[hash] {
			t.Errorf("directory %d of %v is named by none before it", i, &tree)
		}
		if !slices.IsSortedFunc(dir.GetDirectories(), func(a, b *repb.DirectoryNode) int { return strings.Compare(a.GetName(), b.GetName()) }) {
			t.Errorf("directory %d of %v is not sorted", i, &tree)
		}
		for _, sub := range dir.GetDirectories() {
			named[sub.GetDigest().GetHash()] = true
		}
		for _, f := range dir.GetFiles() {
			if f.GetIsExecutable() != (f.GetName() == "f") {
				t.Errorf("file %v", f)
			}
		}
	}
}

func places(t *testing.T, c *client) {
	w := shell("pwd; echo $NAME; cp ../in out; cp ../in ../up", "out", "../up")
	w.command.WorkingDirectory = "work"
	w.command.EnvironmentVariables = []*repb.Command_EnvironmentVariable{{Name: "NAME", Value: "said"}}
	r := c.ok(c.run(c.in("places"), c.upload(w)))
	if got := paths(r.GetOutputFiles()); !slices.Equal(got, []string{"../up", "out"}) {
		t.Errorf("files %v", got)
	}
	if got := c.read(r.GetStdoutDigest()); !strings.Contains(got, "/work\nsaid\n") {
		t.Errorf("printed %q", got)
	}
}
