package mutants

var (
	finding  = test{"node/reapi/cas", "TestDemand4"}
	batching = test{"node/reapi/cas", "TestDemand9Batch"}
	cutting  = test{"node/reapi/cas", "TestDemand9(S|C|R)"}
	trees    = test{"node/reapi/cas", "TestDemand9GetTree"}
)

// REAPI v2, ContentAddressableStorage.FindMissingBlobs.
var missing = []group{
	{4, "node/reapi/cas/batch.go", finding, []mutant{
		{"what is missing is told", `a.MissingBlobDigests = append(a.MissingBlobDigests, asked[i])`, ``},
		{"what is there is not", `!there[i] && !twice {`, `(!there[i] || i >= 0) && !twice {`},
		{"each digest once", `!there[i] && !twice {`, `!there[i] && (!twice || twice) {`},
		{"as it was asked for", `append(a.MissingBlobDigests, asked[i])`, `append(a.MissingBlobDigests, names.Message(digest.Of(d.Function(), nil)))`},
		{"a digest of nothing is not missing", `asked := slices.DeleteFunc(q.BlobDigests, namesNothing)`, `asked := slices.DeleteFunc(q.BlobDigests, func(m *repb.Digest) bool { return false })`},
		{"10,000 digests in one call", `if len(ms) > maxDigests {`, `if len(ms) >= maxDigests/5 {`},
		{"too many digests are INVALID_ARGUMENT", `if len(ms) > maxDigests {`, `if false {`},
	}},
	{4, "node/reapi/cas/cas.go", finding, []mutant{
		{"what is present is kept for a lease", `s.keep(kept)`, ``},
		{"what went before it was kept is missing", `answer(there, true, still)`, `_ = still`},
		{"what a member has is there", `if err != nil || s.mesh == nil || !slices.Contains(there, false) {`, `if true {`},
		{"what a member has can be read", `err := s.mesh.Fetch(ctx, lost)`, `err := error(store.ErrNotFound)`},
		{"what can be made again is there", `if remade, err = s.remake(ctx, chosen(ds, there, false)); err == nil && len(remade) > 0 {`, `if err == nil && len(remade) > 0 {`},
	}},
	{4, "store/alias/alias.go", finding, []mutant{
		{"the empty blob is there under every name", "case empty(d):\n\t\treturn digest.Of(digest.BLAKE3, nil), nil", "case false:\n\t\treturn d, nil"},
	}},
}

// REAPI v2, ContentAddressableStorage: BatchUpdateBlobs, BatchReadBlobs, GetTree.
var batches = []group{
	{9, "node/reapi/cas/batch.go", batching, []mutant{
		{"an update has a status for each blob", "err := s.update(ctx, d, q.Requests[i])\n", "err := error(nil)\n\t\t\tif err := s.update(ctx, d, q.Requests[i]); err != nil { return fault.Status(err) }\n"},
		{"an update says of which blob each status is", `{Digest: ms[i], Status: fault.Of(err).Proto()}`, `{Status: fault.Of(err).Proto()}`},
		{"an update takes zstd", "case repb.Compressor_ZSTD:\n", "case repb.Compressor_DEFLATE:\n"},
		{"another compressor is INVALID_ARGUMENT", `return fault.Errorf(codes.InvalidArgument, "compressor %v is not served, zstd is", r.Compressor)`, `return fmt.Errorf("compressor %v", r.Compressor)`},
		{"a blob that is missing is NOT_FOUND in its status", `content, err := store.ReadAll(ctx, s.blobs, d, limits.MaxBatchBytes)`, `content, _ := store.ReadAll(ctx, s.blobs, d, limits.MaxBatchBytes)`},
		{"a read says of which blob each answer is", `{Digest: q.Digests[i], Data: content,`, `{Data: content,`},
		{"a read has zstd for who accepts it", `zstd && len(content) >= minCompressed {`, `zstd && len(content) < 0 {`},
		{"a read has no zstd for who does not", `zstd && len(content) >= minCompressed {`, `(zstd || true) && len(content) >= minCompressed {`},
		{"more than a batch may hold is INVALID_ARGUMENT", `if d.Size() > left {`, `if false {`},
	}},
	{9, "node/reapi/cas/splice.go", cutting, []mutant{
		{"chunks that cannot be the blob's are INVALID_ARGUMENT", `return fault.Errorf(codes.InvalidArgument, "%v: %v", m.blob, err)`, `return fault.Errorf(codes.Internal, "%v: %v", m.blob, err)`},
		{"chunks that nobody has are NOT_FOUND", `len(absent), m.blob, absent[0], store.ErrNotFound)`, `len(absent), m.blob, absent[0], store.ErrMismatch)`},
		{"RegisterChunkMapping without a request is INVALID_ARGUMENT", `return nil, fault.Errorf(codes.InvalidArgument, "a RegisterChunkMapping without a request")`, `return nil, err`},
	}},
	{9, "node/reapi/cas/split.go", cutting, []mutant{
		{"SplitBlob tells all chunks", `ChunkDigests: messagesOf(list), ChunkingFunction: fn}`, `ChunkDigests: messagesOf(list[:len(list)/2]), ChunkingFunction: fn}`},
		{"GetChunkMapping tells all chunks", `messagesOf(list[:n])`, `messagesOf(list[:n/2])`},
		{"a digest function that is not said is INVALID_ARGUMENT", `if v == repb.DigestFunction_UNKNOWN {`, `if false {`},
	}},
	{9, "node/reapi/capabilities.go", test{"node/reapi", "TestDemand9"}, []mutant{
		{"chunks are behind capabilities", `caps.SplitBlobSupport, caps.SpliceBlobSupport = true, true`, ``},
	}},
	{9, "node/reapi/cas/tree.go", trees, []mutant{
		{"page_size", `if q.PageSize > 0 {`, `if false {`},
		{"next_page_token", `page.NextPageToken = w.token()`, ``},
		{"page_token", `if err := w.skip(stream.Context(), q.PageToken); err != nil {`, `if err := w.skip(stream.Context(), ""); err != nil {`},
		{"a token of another tree is INVALID_ARGUMENT", `if w.token() != token {`, `if false {`},
		{"a token that is none is INVALID_ARGUMENT", `return fault.Errorf(codes.InvalidArgument, "page_token %q is none of ours", token)`, `return nil`},
		{"a negative page_size is INVALID_ARGUMENT", `if q.PageSize < 0 {`, `if false {`},
		{"each directory once", `if _, twice := w.seen[d]; !twice {`, `if _, twice := w.seen[d]; !twice || w.done < 100 {`},
		{"a missing root is NOT_FOUND", `missing := errors.Is(err, store.ErrNotFound) && d != w.root`, `missing := errors.Is(err, store.ErrNotFound)`},
		{"a missing part is left out", `missing := errors.Is(err, store.ErrNotFound) && d != w.root`, `missing := false`},
		{"what is no Directory is INVALID_ARGUMENT", `return nil, release, fault.Errorf(codes.InvalidArgument, "blob %v is no Directory: %v", d, err)`, `return nil, release, err`},
	}},
}
