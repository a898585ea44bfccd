// Package plan decides what to build, and in which order. Scan compares a graph
// with the files that there are and with what earlier builds recorded, and
// finds out which files are dirty; Plan holds the edges that are wanted and
// hands out those that may start.
//
// It is pure: files are seen through Files, what runs is told by the caller.
// All choices are ninja's, and so are the words for what is wrong. Start with
// New and Plan.Add, then Plan.Next, Plan.Restat, Plan.Finished.
package plan
