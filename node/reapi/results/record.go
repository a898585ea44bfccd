package results

import (
	"errors"
	"fmt"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/proto"

	"github.com/buildnet/buildnet/node/reapi/names"
	"github.com/buildnet/buildnet/node/reapi/results/resultspb"
	"github.com/buildnet/buildnet/store/digest"
)

// maxRecordBytes bounds an encoded record: that of a directory of some 700,000
// files.
const maxRecordBytes = 64 << 20

// errRecord says that a record is none.
var errRecord = errors.New("malformed record of a client's result")

// Named is a blob under the client's name and the native one, which may be the
// same.
type Named struct{ Name, Native digest.Digest }

// Made is what came of a client's action, in the client's names.
type Made struct {
	Result *repb.ActionResult
	// Blobs are all that Result names, directly or through directories, each once.
	Blobs []Named
}

func (m *Made) natives() []digest.Digest {
	natives := make([]digest.Digest, len(m.Blobs))
	for i, b := range m.Blobs {
		natives[i] = b.Native
	}
	return natives
}

func (m *Made) names() []digest.Digest {
	names := make([]digest.Digest, len(m.Blobs))
	for i, b := range m.Blobs {
		names[i] = b.Name
	}
	return names
}

func (m *Made) encode() ([]byte, error) {
	result, err := proto.MarshalOptions{Deterministic: true}.Marshal(m.Result)
	if err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	r := &resultspb.Record{Result: result, Blobs: make([]*resultspb.Blob, len(m.Blobs))}
	for i, b := range m.Blobs {
		r.Blobs[i] = &resultspb.Blob{Native: b.Native.Binary()}
		if b.Name != b.Native {
			r.Blobs[i].Name = b.Name.Binary()
		}
	}
	encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	if len(encoded) > maxRecordBytes {
		return nil, fmt.Errorf("encode record: %d bytes, the limit is %d", len(encoded), maxRecordBytes)
	}
	return encoded, nil
}

// decode reads what encode wrote for an action whose digest is of fn, and trusts
// none of it: who made it signed it, but may have a bad memory.
func decode(fn digest.Function, b []byte) (*Made, error) {
	var r resultspb.Record
	if err := proto.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("%w: %w", errRecord, err)
	}
	m := &Made{Result: &repb.ActionResult{}, Blobs: make([]Named, 0, len(r.GetBlobs()))}
	if err := proto.Unmarshal(r.GetResult(), m.Result); err != nil {
		return nil, fmt.Errorf("%w: %w", errRecord, err)
	}
	has := make(map[digest.Digest]bool, len(r.GetBlobs()))
	for _, b := range r.GetBlobs() {
		n, err := namedOf(fn, b)
		if err != nil {
			return nil, err
		}
		has[n.Name] = true
		m.Blobs = append(m.Blobs, n)
	}
	all, err := direct(fn, m.Result)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errRecord, err)
	}
	for _, d := range all {
		if !has[d] {
			return nil, fmt.Errorf("%w: nobody says what %v is", errRecord, d)
		}
	}
	return m, nil
}

func namedOf(fn digest.Function, b *resultspb.Blob) (n Named, err error) {
	if n.Native, err = digest.FromBinary(b.GetNative()); err != nil {
		return n, fmt.Errorf("%w: %w", errRecord, err)
	}
	if n.Name = n.Native; len(b.GetName()) > 0 {
		if n.Name, err = digest.FromBinary(b.GetName()); err != nil {
			return n, fmt.Errorf("%w: %w", errRecord, err)
		}
	}
	if n.Native.Function() != digest.BLAKE3 || n.Name.Function() != fn || n.Name.Size() != n.Native.Size() {
		return n, fmt.Errorf("%w: %v is not %v", errRecord, n.Name, n.Native)
	}
	return n, nil
}

// direct are the blobs that a result names itself, each once.
func direct(fn digest.Function, r *repb.ActionResult) ([]digest.Digest, error) {
	var messages []*repb.Digest
	for _, f := range r.GetOutputFiles() {
		messages = append(messages, f.GetDigest())
	}
	for _, d := range r.GetOutputDirectories() {
		if d.GetTreeDigest() != nil || d.GetRootDirectoryDigest() == nil {
			messages = append(messages, d.GetTreeDigest())
		}
		if d.GetRootDirectoryDigest() != nil {
			messages = append(messages, d.GetRootDirectoryDigest())
		}
	}
	for _, printed := range []*repb.Digest{r.GetStdoutDigest(), r.GetStderrDigest()} {
		if printed != nil {
			messages = append(messages, printed)
		}
	}
	all := make([]digest.Digest, 0, len(messages))
	seen := make(map[digest.Digest]bool, len(messages))
	for _, m := range messages {
		d, err := names.Digest(fn, m)
		if err != nil {
			return nil, err
		}
		if !seen[d] {
			seen[d] = true
			all = append(all, d)
		}
	}
	return all, nil
}
