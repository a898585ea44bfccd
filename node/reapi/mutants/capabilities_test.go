package mutants

var inServer = test{"node/reapi", "TestDemand1[A-Z]"}

// REAPI v2, ServerCapabilities.
var capabilities = []group{{1, "node/reapi/capabilities.go", inServer, []mutant{
	{"deprecated_api_version is 2.0", `DeprecatedApiVersion:  &semver.SemVer{Major: 2}`, `DeprecatedApiVersion: nil`},
	{"low_api_version is 2.0", `LowApiVersion:         &semver.SemVer{Major: 2}`, `LowApiVersion: &semver.SemVer{Major: 2, Minor: 1}`},
	{"high_api_version is at least 2.3", `&semver.SemVer{Major: 2, Minor: 13}`, `&semver.SemVer{Major: 2, Minor: 2}`},
	{"cache capabilities", `CacheCapabilities:     c.cache(caller.Of(ctx)),`, ``},
	{"execution capabilities", `ExecutionCapabilities: c.execution(),`, ``},
	{"execution is enabled", `ExecEnabled:                   true,`, ``},
	{"the singular digest_function is SHA256", `DigestFunction:                repb.DigestFunction_SHA256,`, `DigestFunction: repb.DigestFunction_BLAKE3,`},
	{"SHA256 is in the lists", `{repb.DigestFunction_SHA256, repb.DigestFunction_BLAKE3}`, `{repb.DigestFunction_BLAKE3}`},
	{"BLAKE3 is in the list of the cache", `DigestFunctions:                 functions(),`, `DigestFunctions: functions()[:1],`},
	{"BLAKE3 is in the list of execution", `DigestFunctions:               functions(),`, `DigestFunctions: functions()[:1],`},
	{"update_enabled for a writer", `c.caches && who.Role >= caller.Writer`, `c.caches && who.Role > caller.Writer`},
	{"update_enabled for a writer alone", `c.caches && who.Role >= caller.Writer`, `c.caches`},
	{"a range of priorities", `{MinPriority: limits.MinPriority, MaxPriority: limits.MaxPriority},`, `{},`},
	{"priorities of execution", `ExecutionPriorityCapabilities: priorities(),`, ``},
	{"max_batch_total_size_bytes is not 0", `MaxBatchTotalSizeBytes:          limits.MaxBatchBytes,`, ``},
	{"zstd is among the compressors", `SupportedCompressors:            zstd,`, ``},
	{"zstd is among the compressors of batches", `SupportedBatchUpdateCompressors: zstd,`, ``},
}}}
