package mutants

var streams = test{"node/reapi/cas", "TestDemand3"}

// google/bytestream/bytestream.proto as REAPI v2, ContentAddressableStorage, uses it.
var byteStream = []group{
	{3, "node/reapi/cas/write.go", streams, []mutant{
		{"the resource name comes in the first request alone", `case q.ResourceName != "" && q.ResourceName != in.first:`, `case q.ResourceName != in.first:`},
		{"another name in a later request is INVALID_ARGUMENT", `case q.ResourceName != "" && q.ResourceName != in.first:`, `case false:`},
		{"an offset that does not follow is INVALID_ARGUMENT", `case q.WriteOffset != in.next:`, `case false:`},
		{"an offset beyond the blob is OUT_OF_RANGE", `if first.WriteOffset < 0 || first.WriteOffset > name.Digest.Size() {`, `if false {`},
		{"a Write without a request is INVALID_ARGUMENT", `return 0, fault.Errorf(codes.InvalidArgument, "a Write without a request")`, `return 0, nil`},
		{"committed_size of a small blob is its size", `return name.Digest.Size(), s.put(stream.Context(), name.Digest, first.Data)`, `return 0, s.put(stream.Context(), name.Digest, first.Data)`},
		{"committed_size of a large blob is its size", "s.keep([]digest.Digest{h.digest()})\n\treturn in.next, nil", "s.keep([]digest.Digest{h.digest()})\n\treturn 0, nil"},
		{"committed_size of what is there is its size", "return already, nil\n\t\t}\n\t\treturn name.Digest.Size(), nil", "return already, nil\n\t\t}\n\t\treturn first.WriteOffset, nil"},
		{"committed_size of what is there is -1 if it is compressed", `return already, nil`, `return name.Digest.Size(), nil`},
		{"what is there is answered early", "if here[0] {\n\t\ts.keep([]digest.Digest{name.Digest})\n\t\tif compressed {", "if here[0] && false {\n\t\tif compressed {"},
		{"what is there is kept when it is uploaded again", "if here[0] {\n\t\ts.keep([]digest.Digest{name.Digest})\n\t\tif compressed {", "if here[0] {\n\t\tif compressed {"},
		{"what is uploaded in pieces is kept", "s.keep([]digest.Digest{h.digest()})", ""},
		{"QueryWriteStatus of what is there is its size", `CommittedSize: name.Digest.Size(), Complete: true}`, `CommittedSize: 0, Complete: true}`},
		{"QueryWriteStatus of what is there is complete", `CommittedSize: name.Digest.Size(), Complete: true}`, `CommittedSize: name.Digest.Size()}`},
		{"QueryWriteStatus of a part is what has come", `CommittedSize: s.uploads.status(key(ctx, name))}`, `CommittedSize: 0 * s.uploads.status(key(ctx, name))}`},
		{"an upload that is closed early can be gone on with", "s.uploads.release(h)\n\t\treturn h.u.committed.Load(), nil", "s.uploads.discard(h)\n\t\treturn h.u.committed.Load(), nil"},
		{"a compressed upload is decompressed", "if compressed {\n\t\terr = decode(ctx, h, in)", "if false {\n\t\terr = decode(ctx, h, in)"},
		{"a blob that is too large is INVALID_ARGUMENT", `u.Digest.Size() > limits.MaxBlobBytes`, `false`},
	}},
	{3, "node/reapi/cas/upload.go", streams, []mutant{
		{"a Write goes on where another was cut off", "if offset == 0 {\n\t\treturn t.begin(key, peer)", "if offset >= 0 {\n\t\treturn t.begin(key, peer)"},
		{"offset 0 begins again", "if offset == 0 {\n\t\treturn t.begin(key, peer)", "if offset < 0 {\n\t\treturn t.begin(key, peer)"},
		{"another offset than what has come is ABORTED", `is != offset {`, `false {`},
		{"an upload that is not known is ABORTED", `return nil, fault.Errorf(codes.Aborted, "nothing of this upload is here: ask QueryWriteStatus")`, `return nil, errDropped`},
		{"who lost an upload to another call gets ABORTED", `if !h.u.gone && h.gen != h.u.gen {`, `if false {`},
		{"more bytes than the digest says are INVALID_ARGUMENT", `return 0, fmt.Errorf("more than %d bytes: %w", size, store.ErrMismatch)`, `return 0, errDropped`},
	}},
	{3, "node/reapi/cas/batch.go", streams, []mutant{
		{"fewer bytes than the digest says are INVALID_ARGUMENT", `return fmt.Errorf("%d bytes for %v: %w", len(content), d, store.ErrMismatch)`, `return nil`},
		{"what is uploaded in one piece is kept", "s.keep([]digest.Digest{d})", ""},
	}},
	{3, "node/reapi/cas/read.go", streams, []mutant{
		{"read_offset", `io.NewSectionReader(r, q.ReadOffset, n)`, `io.NewSectionReader(r, 0, n)`},
		{"read_offset beyond the blob is OUT_OF_RANGE", `case q.ReadOffset < 0 || q.ReadOffset > size:`, `case false:`},
		{"read_limit", `n = min(n, q.ReadLimit)`, ``},
		{"a negative read_limit is INVALID_ARGUMENT", `case q.ReadLimit < 0:`, `case false:`},
		{"read_limit of a compressed read is INVALID_ARGUMENT", `case q.ReadLimit > 0 && compressed:`, `case false:`},
		{"a compressed read is compressed", "if compressed {\n\t\treturn encode(sender{stream}, from)", "if false {\n\t\treturn encode(sender{stream}, from)"},
	}},
	{3, "node/reapi/cas/zstd.go", streams, []mutant{
		{"what is no zstd is INVALID_ARGUMENT", `return fault.Errorf(codes.InvalidArgument, "zstd: %v", err)`, `return err`},
	}},
	{3, "node/reapi/fault/fault.go", streams, []mutant{
		{"a blob that nobody has is NOT_FOUND", `return status.New(codes.NotFound, err.Error())`, `return status.New(codes.Internal, err.Error())`},
		{"other bytes than the digest says are INVALID_ARGUMENT", `errors.Is(err, digest.ErrMalformed), errors.Is(err, store.ErrMismatch):`, `errors.Is(err, digest.ErrMalformed):`},
		{"a malformed resource name is INVALID_ARGUMENT", `case errors.Is(err, names.ErrMalformed), errors.Is(err, digest.ErrMalformed)`, `case errors.Is(err, digest.ErrMalformed)`},
		{"a full store is RESOURCE_EXHAUSTED", `case errors.Is(err, store.ErrFull):`, `case false:`},
	}},
}
