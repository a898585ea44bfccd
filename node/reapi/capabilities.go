package reapi

import (
	"context"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"github.com/bazelbuild/remote-apis/build/bazel/semver"
	"google.golang.org/grpc"

	"github.com/buildnet/buildnet/node/reapi/caller"
	"github.com/buildnet/buildnet/node/reapi/cdc"
	"github.com/buildnet/buildnet/node/reapi/limits"
	"github.com/buildnet/buildnet/sched/action"
)

// capabilities implements repb.CapabilitiesServer from what is served.
type capabilities struct {
	repb.UnimplementedCapabilitiesServer
	executes, caches bool
	cuts             bool // blobs into chunks
	greeted          func()
}

func newCapabilities(served map[string]grpc.ServiceInfo, greeted func()) *capabilities {
	_, executes := served[repb.Execution_ServiceDesc.ServiceName]
	_, caches := served[repb.ActionCache_ServiceDesc.ServiceName]
	_, cuts := served[repb.ContentAddressableStorage_ServiceDesc.ServiceName]
	return &capabilities{executes: executes, caches: caches, cuts: cuts, greeted: greeted}
}

// GetCapabilities implements repb.CapabilitiesServer. Every instance has the
// same.
func (c *capabilities) GetCapabilities(ctx context.Context, _ *repb.GetCapabilitiesRequest) (*repb.ServerCapabilities, error) {
	if c.greeted != nil {
		c.greeted()
	}
	return &repb.ServerCapabilities{
		DeprecatedApiVersion:  &semver.SemVer{Major: 2},
		LowApiVersion:         &semver.SemVer{Major: 2},
		HighApiVersion:        &semver.SemVer{Major: 2, Minor: 13},
		CacheCapabilities:     c.cache(caller.Of(ctx)),
		ExecutionCapabilities: c.execution(),
	}, nil
}

// functions are the hash functions that clients may use, best known first.
func functions() []repb.DigestFunction_Value {
	return []repb.DigestFunction_Value{repb.DigestFunction_SHA256, repb.DigestFunction_BLAKE3}
}

func priorities() *repb.PriorityCapabilities {
	return &repb.PriorityCapabilities{Priorities: []*repb.PriorityCapabilities_PriorityRange{
		{MinPriority: limits.MinPriority, MaxPriority: limits.MaxPriority},
	}}
}

func (c *capabilities) cache(who caller.Caller) *repb.CacheCapabilities {
	zstd := []repb.Compressor_Value{repb.Compressor_ZSTD}
	caps := &repb.CacheCapabilities{
		DigestFunctions:                 functions(),
		ActionCacheUpdateCapabilities:   &repb.ActionCacheUpdateCapabilities{UpdateEnabled: c.caches && who.Role >= caller.Writer},
		CachePriorityCapabilities:       priorities(),
		MaxBatchTotalSizeBytes:          limits.MaxBatchBytes,
		SymlinkAbsolutePathStrategy:     repb.SymlinkAbsolutePathStrategy_DISALLOWED,
		SupportedCompressors:            zstd,
		SupportedBatchUpdateCompressors: zstd,
		MaxCasBlobSizeBytes:             limits.MaxBlobBytes,
	}
	if c.cuts {
		caps.SplitBlobSupport, caps.SpliceBlobSupport = true, true
		caps.FastCdc_2020Params, caps.RepMaxCdcParams = cdc.Fast(), cdc.RepMax()
	}
	return caps
}

// execution is nil where nothing is executed.
func (c *capabilities) execution() *repb.ExecutionCapabilities {
	if !c.executes {
		return nil
	}
	return &repb.ExecutionCapabilities{
		DigestFunction:                repb.DigestFunction_SHA256,
		DigestFunctions:               functions(),
		ExecEnabled:                   true,
		ExecutionPriorityCapabilities: priorities(),
		SupportedNodeProperties:       []string{action.NodeMTime, action.NodeUnixMode},
	}
}
