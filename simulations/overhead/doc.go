// Package overhead measures what the mesh takes of a machine for each action,
// in CPU time: benchmarks over whole nodes, each in a process of its own so that
// the kernel tells what each of them used. Start reading at BenchmarkMesh.
package overhead
