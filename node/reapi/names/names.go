// Package names reads and writes what Remote Execution clients call things: digests
// whose hash function is told beside them or not at all, instances, and the resource
// names of ByteStream. The package is pure; start reading at ParseUpload.
package names

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"

	"github.com/buildnet/buildnet/store/digest"
)

// ErrMalformed is matched by every error of this package.
var ErrMalformed = errors.New("malformed name")

const (
	// MaxBytes bounds a resource name: a digest and an upload's UUID take 200, and
	// instances are paths that people write.
	MaxBytes = 4 << 10
	// MaxInstanceBytes bounds an instance name.
	MaxInstanceBytes = 1 << 10
)

// keywords cannot be segments of an instance name: remote_execution.proto,
// ContentAddressableStorage.
var keywords = []string{"blobs", "uploads", "actions", "actionResults", "operations", "capabilities", "compressed-blobs"}

// Blob is the resource name of a read.
type Blob struct {
	// Instance is of any number of segments, and may be empty.
	Instance string
	// Compressor is how the bytes travel: IDENTITY or ZSTD.
	Compressor repb.Compressor_Value
	Digest     digest.Digest
}

// Upload is the resource name of a write.
type Upload struct {
	Blob
	// UUID tells concurrent uploads apart. It is what the client says, of one segment.
	UUID string
}

// String returns {instance}/blobs/[blake3/]{hash}/{size}, or the same of
// compressed-blobs.
func (b Blob) String() string { return join(b.Instance, b.tail()) }

// String returns {instance}/uploads/{uuid}/ and then as Blob.String.
func (u Upload) String() string { return join(u.Instance, "uploads/"+u.UUID+"/"+u.tail()) }

func join(instance, rest string) string {
	if instance == "" {
		return rest
	}
	return instance + "/" + rest
}

func (b Blob) tail() string {
	kind := "blobs/"
	if b.Compressor == repb.Compressor_ZSTD {
		kind = "compressed-blobs/zstd/"
	}
	return kind + segments(b.Digest)
}

// segments leaves SHA-256 out, as the specification demands.
func segments(d digest.Digest) string {
	text := d.Hex() + "/" + strconv.FormatInt(d.Size(), 10)
	if d.Function() == digest.SHA256 {
		return text
	}
	return d.Function().String() + "/" + text
}

// Subject returns what a PreconditionFailure calls a blob that is missing.
func Subject(d digest.Digest) string { return Blob{Digest: d}.String() }

// ParseUpload reads the resource name of a write. Metadata after the size is
// ignored.
func ParseUpload(s string) (Upload, error) {
	instance, rest, err := split(s, "uploads")
	if err != nil {
		return Upload{}, err
	}
	if len(rest) < 3 || rest[1] == "" {
		return Upload{}, malformed(s, "want uploads/UUID/blobs/HASH/SIZE")
	}
	b, _, err := parseBlob(s, rest[2:])
	if err != nil {
		return Upload{}, err
	}
	b.Instance = instance
	return Upload{Blob: b, UUID: rest[1]}, nil
}

// ParseBlob reads the resource name of a read.
func ParseBlob(s string) (Blob, error) {
	instance, rest, err := split(s, "blobs", "compressed-blobs")
	if err != nil {
		return Blob{}, err
	}
	b, more, err := parseBlob(s, rest)
	if err != nil {
		return Blob{}, err
	}
	if len(more) > 0 {
		return Blob{}, malformed(s, "something follows the size")
	}
	b.Instance = instance
	return b, nil
}

func malformed(s, why string) error {
	return fmt.Errorf("%w: resource %q: %s", ErrMalformed, s, why)
}

// split takes s apart at the first segment that is a keyword, which must be one of
// heads: rest begins with it. One slash before everything is let pass: some clients
// write it where the instance is empty.
func split(s string, heads ...string) (instance string, rest []string, err error) {
	if len(s) > MaxBytes {
		return "", nil, fmt.Errorf("%w: resource of %d bytes, the limit is %d", ErrMalformed, len(s), MaxBytes)
	}
	all := strings.Split(strings.TrimPrefix(s, "/"), "/")
	at := slices.IndexFunc(all, func(segment string) bool { return slices.Contains(keywords, segment) })
	if at < 0 || !slices.Contains(heads, all[at]) {
		return "", nil, malformed(s, "no "+strings.Join(heads, " or ")+" after the instance")
	}
	instance = strings.Join(all[:at], "/")
	if err := CheckInstance(instance); err != nil || at > 0 && instance == "" {
		return "", nil, malformed(s, "the instance has an empty segment or is too long")
	}
	return instance, all[at:], nil
}

// CheckInstance says whether s can be the name of an instance.
func CheckInstance(s string) error {
	switch {
	case s == "":
		return nil
	case len(s) > MaxInstanceBytes:
		return fmt.Errorf("%w: instance of %d bytes, the limit is %d", ErrMalformed, len(s), MaxInstanceBytes)
	}
	for segment := range strings.SplitSeq(s, "/") {
		if segment == "" || slices.Contains(keywords, segment) {
			return fmt.Errorf("%w: instance %q has the segment %q", ErrMalformed, s, segment)
		}
	}
	return nil
}

// parseBlob reads blobs/[function/]hash/size or
// compressed-blobs/compressor/[function/]hash/size and returns what follows.
func parseBlob(s string, in []string) (b Blob, more []string, err error) {
	switch in[0] {
	case "blobs":
		in = in[1:]
	case "compressed-blobs":
		if len(in) < 2 || in[1] != "zstd" {
			return b, nil, malformed(s, "the compressor is not zstd")
		}
		b.Compressor, in = repb.Compressor_ZSTD, in[2:]
	default:
		return b, nil, malformed(s, "want blobs or compressed-blobs after the UUID")
	}
	fn := digest.SHA256
	if len(in) > 0 && len(in[0]) != 2*digest.HashSize {
		if fn, err = digest.ParseFunction(in[0]); err != nil {
			return b, nil, malformed(s, err.Error())
		}
		in = in[1:]
	}
	if len(in) < 2 {
		return b, nil, malformed(s, "want a hash and a size")
	}
	size, err := strconv.ParseInt(in[1], 10, 64)
	if err != nil || strconv.FormatInt(size, 10) != in[1] {
		return b, nil, malformed(s, "the size is not a plain decimal number")
	}
	if b.Digest, err = digest.FromHex(fn, in[0], size); err != nil {
		return b, nil, malformed(s, err.Error())
	}
	return b, in[2:], nil
}
