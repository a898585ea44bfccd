package translate

import (
	"bytes"
	"context"
	"fmt"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/store"
	"github.com/buildnet/buildnet/store/digest"
)

// Output is an output directory as a client reads it. All of its blobs are kept and
// have their names in the client's function.
type Output struct {
	// Tree names the encoded Tree message: OutputDirectory.tree_digest. Its
	// directories come parents first, each once: is_topologically_sorted holds.
	Tree digest.Digest
	// Root names the Directory message: OutputDirectory.root_directory_digest.
	Root    digest.Digest
	Message *repb.Tree
}

// Tree translates a native output directory into the names of fn. It returns
// store.ErrNotFound, with the native digest, if a blob of it is not here and cannot
// be brought, and a *Fault as Root does.
func (t *Translator) Tree(ctx context.Context, native digest.Digest, fn digest.Function) (Output, error) {
	w := newWalk(t, native.Function())
	defer w.end()
	if err := w.read(ctx, native); err != nil {
		return Output{}, err
	}
	if err := w.measure(native); err != nil {
		return Output{}, err
	}
	if err := w.files(ctx); err != nil {
		return Output{}, fmt.Errorf("files of output directory %v: %w", native, err)
	}
	if len(w.missing) > 0 {
		return Output{}, fmt.Errorf("output directory %v: %d blobs, first %v: %w", native, len(w.missing), w.missing[0], store.ErrNotFound)
	}
	out, err := t.foreign(ctx, w, fn)
	if err != nil {
		return Output{}, fmt.Errorf("output directory %v: %w", native, err)
	}
	return out, nil
}

// foreign keeps the directories in fn, those below first, and their Tree.
func (t *Translator) foreign(ctx context.Context, w *walk, fn digest.Function) (Output, error) {
	names := make(map[digest.Digest]digest.Digest, len(w.post))
	messages := make([]*repb.Directory, len(w.post))
	contents := make([][]byte, len(w.post))
	total := 0
	for i, d := range w.post {
		m, err := t.renamed(ctx, w.dirs[d], fn, names)
		if err != nil {
			return Output{}, err
		}
		content, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		if err != nil {
			return Output{}, fmt.Errorf("encode directory %v: %w", d, err)
		}
		if total += len(content); total > t.limits.TreeBytes {
			return Output{}, w.placed(tooLarge(d, "a Tree message of more than %d bytes", t.limits.TreeBytes))
		}
		if names[d], err = t.keep(ctx, fn, content); err != nil {
			return Output{}, err
		}
		messages[i], contents[i] = m, content
	}
	return t.tree(ctx, fn, messages, contents)
}

func (t *Translator) renamed(ctx context.Context, d *dir, fn digest.Function, names map[digest.Digest]digest.Digest) (*repb.Directory, error) {
	files := make([]digest.Digest, len(d.files))
	for i, f := range d.files {
		var err error
		if files[i], err = t.blobs.Name(ctx, f.digest, fn); err != nil {
			return nil, err
		}
	}
	return d.message(
		func(i int) digest.Digest { return files[i] },
		func(i int) digest.Digest { return names[d.subs[i].digest] },
	), nil
}

func (t *Translator) keep(ctx context.Context, fn digest.Function, content []byte) (digest.Digest, error) {
	d := digest.Of(fn, content)
	return d, t.blobs.Put(ctx, d, bytes.NewReader(content))
}

// tree makes the Tree of directories that are ordered those below first. Its
// encoding is what remote_execution.proto prescribes at is_topologically_sorted,
// and that of its Message too.
func (t *Translator) tree(ctx context.Context, fn digest.Function, messages []*repb.Directory, contents [][]byte) (Output, error) {
	last := len(messages) - 1
	out := Output{Root: digest.Of(fn, contents[last]), Message: &repb.Tree{Root: messages[last]}}
	encoded := protowire.AppendTag(nil, 1, protowire.BytesType)
	encoded = protowire.AppendBytes(encoded, contents[last])
	for i := last - 1; i >= 0; i-- {
		out.Message.Children = append(out.Message.Children, messages[i])
		encoded = protowire.AppendTag(encoded, 2, protowire.BytesType)
		encoded = protowire.AppendBytes(encoded, contents[i])
	}
	var err error
	out.Tree, err = t.keep(ctx, fn, encoded)
	return out, err
}
