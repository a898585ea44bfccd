// Package node is the one place that knows every part: it makes the node of
// them. Start reading at Node.
package node
