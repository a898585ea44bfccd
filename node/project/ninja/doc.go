// Package ninja reads what ninja 1.11 reads: manifests and dyndep files.
//
// The package is pure: it opens no file, files come in through Files. Load
// returns the Graph that a manifest declares. An Edge expands its variables
// when it is asked (Command, Binding), so that a rule costs nothing until it
// is used. What is wrong with a manifest is said in ninja's words, because
// people and tools know them. A manifest may come from a stranger: whatever
// it holds, reading it ends, in bounded memory, with a graph or an error.
//
// The meaning of the language is that of https://ninja-build.org/manual.html.
// Start reading at graph.go, then Load in manifest.go.
package ninja
