package mutants

// part is some of the parts of TestConformance.
func part(pattern string) test { return test{"node/reapi/execute", "TestConformance$/" + pattern} }

// REAPI v2, Command, ActionResult and the messages that they name.
var outputs = []group{
	{4, "store/disk/blobs.go", part("demand_4"), []mutant{
		{"the empty blob is there in a node's store", `here[i] = ok || empty(d)`, `here[i] = ok`},
	}},
	{5, "node/reapi/execute/task.go", part("demand_5.*output_files_and"), []mutant{
		{"output_files", `lists[asFile], lists[asDirectory] = t.command.GetOutputFiles(), t.command.GetOutputDirectories()`, `lists[asDirectory] = t.command.GetOutputDirectories()`},
		{"output_directories", `lists[asFile], lists[asDirectory] = t.command.GetOutputFiles(), t.command.GetOutputDirectories()`, `lists[asFile] = t.command.GetOutputFiles()`},
	}},
	{5, "node/reapi/execute/task.go", part("demand_5.*output_paths"), []mutant{
		{"output_paths", `lists := map[listing][]string{asPath: t.command.GetOutputPaths()}`, `lists := map[listing][]string{}`},
		{"output_paths win", `if len(lists[asPath]) == 0 {`, `if true {`},
		{"an output that is not there is left out", `action.Property{Name: action.PropertyOutputs, Value: action.OutputsOptional},`, ``},
	}},
	{5, "node/reapi/execute/task.go", part("demand_5.*working_directory"), []mutant{
		{"outputs are relative to the working directory", `p := path.Join(dir, spelled)`, `p := path.Clean(spelled)`},
		{"the working directory", `t.step.Dir = dir`, ``},
		{"environment_variables", `t.step.Env = append(t.step.Env, action.Property{Name: v.GetName(), Value: v.GetValue()})`, `_ = v`},
	}},
	{5, "node/reapi/execute/task.go", test{"node/reapi/execute", "TestDemand5Output"}, []mutant{
		{"output_node_properties", `if names := t.command.GetOutputNodeProperties(); len(names) > 0 {`, `if names := t.command.GetOutputNodeProperties(); len(names) > 99 {`},
		{"a property that nobody knows is INVALID_ARGUMENT", `return fault.Errorf(codes.InvalidArgument, "output_node_properties: %v", err)`, `return fault.Errorf(codes.Internal, "output_node_properties: %v", err)`},
	}},
	{5, "node/reapi/execute/outcome.go", test{"node/reapi/execute", "TestDemand5Output"}, []mutant{
		{"the properties of a file", `IsExecutable: o.Executable, NodeProperties: o.Properties.Message()}`, `IsExecutable: o.Executable}`},
		{"the properties of a link", `Target: o.Target, NodeProperties: o.Properties.Message()}`, `Target: o.Target}`},
	}},
	{5, "node/reapi/translate/translate.go", test{"node/reapi/execute", "TestDemand5Input"}, []mutant{
		{"the properties of an input", `IsExecutable: f.executable, NodeProperties: nodeProperties(f.said)}`, `IsExecutable: f.executable}`},
	}},
	{5, "node/reapi/execute/inputs.go", part("demand_5.*output_files_and"), []mutant{
		{"directories of output_directories are made beforehand", `if o.as != asDirectory {`, `if true {`},
	}},
	{5, "node/exec/materialise.go", part("demand_5.*output_paths"), []mutant{
		{"the parents of outputs are made", `dirs = append(dirs, path.Dir(o))`, `_ = o`},
	}},
	{5, "node/exec/collect.go", part("demand_5.*OutputDirectory"), []mutant{
		{"the executable bit of a file in a directory", `IsExecutable: o.Executable, `, ``},
		{"an empty directory in a directory", `case action.Directory:`, `case action.Directory:
			if o.Digest.Size() == 0 {
				continue
			}`},
	}},
	{5, "node/reapi/execute/outcome.go", part("demand_5.*working_directory"), []mutant{
		{"a path is told as the client spelled it", `&repb.OutputFile{Path: as.spelled,`, `&repb.OutputFile{Path: o.Path,`},
	}},
	{5, "node/reapi/execute/outcome.go", part("demand_5.*output_paths"), []mutant{
		{"the executable bit of a file", `IsExecutable: o.Executable, `, ``},
	}},
	{5, "node/reapi/execute/outcome.go", part("demand_5.*output_files_and"), []mutant{
		{"a file where a directory was declared is FAILED_PRECONDITION", `if as.as == asDirectory {`, `if false {`},
		{"a directory where a file was declared is FAILED_PRECONDITION", `if as.as == asFile {`, `if false {`},
		{"a wrong type is FAILED_PRECONDITION", `return fault.Errorf(codes.FailedPrecondition, "output %q is declared as`, `return fault.Errorf(codes.Internal, "output %q is declared as`},
	}},
	{5, "node/reapi/execute/outcome.go", part("demand_5.*output_symlinks"), []mutant{
		{"a link to a directory where a file was declared is FAILED_PRECONDITION", "if directory {\n\t\t\treturn wrongKind", "if false {\n\t\t\treturn wrongKind"},
		{"output_symlinks", `r.OutputSymlinks = append(r.OutputSymlinks, l)`, ``},
		{"output_file_symlinks", `r.OutputFileSymlinks = append(r.OutputFileSymlinks, l)`, ``},
		{"output_directory_symlinks", `r.OutputDirectorySymlinks = append(r.OutputDirectorySymlinks, l)`, ``},
		{"output_symlinks are for output_paths alone", "case asFile:\n\t\tif directory {", "case asFile:\n\t\tr.OutputSymlinks = append(r.OutputSymlinks, l)\n\t\tif directory {"},
	}},
	{5, "node/reapi/execute/outcome.go", part("demand_5.*OutputDirectory"), []mutant{
		{"a Tree where output_directory_format wants one", `if format != repb.Command_DIRECTORY_ONLY {`, `if format == repb.Command_DIRECTORY_ONLY {`},
		{"a Directory where output_directory_format wants one", `if format != repb.Command_TREE_ONLY {`, `if format == repb.Command_TREE_ONLY {`},
		{"is_topologically_sorted", `d.TreeDigest, d.IsTopologicallySorted = names.Message(tree.Tree), true`, `d.TreeDigest = names.Message(tree.Tree)`},
	}},
	{5, "node/reapi/translate/tree.go", part("demand_5.*OutputDirectory"), []mutant{
		{"parents come first in a Tree", `for i := last - 1; i >= 0; i-- {`, `for i := range last {`},
		{"a Tree has the root apart", `encoded = protowire.AppendBytes(encoded, contents[last])`, `encoded = protowire.AppendBytes(encoded, contents[0])`},
	}},
	{5, "node/reapi/translate/translate.go", part("demand_5.*input_root"), []mutant{
		{"the executable bit of an input", `IsExecutable: f.executable, `, ``},
		{"links among the inputs", "for _, l := range d.links {\n\t\tm.Symlinks", "for _, l := range d.links[:0] {\n\t\tm.Symlinks"},
		{"empty directories among the inputs", `m.Directories = append(m.Directories, &repb.DirectoryNode{Name: s.name, Digest: action.ReapiDigest(sub(i))})`, `if s.digest.Size() > 0 {
			m.Directories = append(m.Directories, &repb.DirectoryNode{Name: s.name, Digest: action.ReapiDigest(sub(i))})
		}`},
	}},
}

// REAPI v2, Platform.
var platforms = []group{
	{6, "node/reapi/execute/task.go", part("demand_6"), []mutant{
		{"the platform of the action", `said := a.GetPlatform()`, `said := (*repb.Platform)(nil)`},
		{"the platform of the command", `said = c.GetPlatform()`, `said = nil`},
		{"the platform of the action wins", "if said == nil {\n\t\tsaid", "if c.GetPlatform() != nil {\n\t\tsaid"},
		{"what the mesh lacks is FAILED_PRECONDITION", `return fault.Errorf(codes.FailedPrecondition, "%v", err)`, `return fault.Errorf(codes.Unavailable, "%v", err)`},
	}},
	{6, "node/reapi/platform/platform.go", part("demand_6"), []mutant{
		{"another operating system is refused", `if systemOf(value) != m.OS {`, `if false {`},
		{"OSFamily=Linux is not", `switch s := strings.ToLower(value); s {
	case "macos":`, `switch s := value; s {
	case "macos":`},
		{"container-image is not", "case image:\n\t\tif w.Image = value; value == \"none\" {", "case image:\n\t\treturn &Refused{name, value, \"none\"}\n\t\tif w.Image = value; value == \"none\" {"},
		{"a property that is not known is", `return &Refused{name, value, "the properties " + strings.Join(known, ", ")}`, `return nil`},
		{"a value of toolchain that is not known is", `if value != toolchainHost && value != toolchainInputs {`, `if false {`},
		{"programs among the inputs", `if value != toolchainHost && value != toolchainInputs {`, `if value != toolchainHost {`},
		{"the message names the property", `r.Name, r.Value, r.Has)`, `"", r.Value, r.Has)`},
		{"the message has what the mesh has", `r.Name, r.Value, r.Has)`, `r.Name, r.Value, "others")`},
	}},
	{6, "node/reapi/execute/run.go", part("demand_6"), []mutant{
		{"who asks for container-image is told that it is not run", `r.Message = "container-image is not run: the programs are those of the machine"`, ``},
	}},
}
