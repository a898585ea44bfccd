package project

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// yamlReader turns goccy's tree into nodes, with anchors expanded.
type yamlReader struct {
	anchors map[string]ast.Node
	nodes   int
}

// yamlError is a fault of the text, with its line.
type yamlError struct {
	line int
	what string
}

func (e *yamlError) Error() string { return e.what }

// readYAML returns the one document of src.
func readYAML(src []byte, faults *collector) *node {
	n, err := parseYAML(src)
	if err == nil {
		return n
	}
	at := place{}
	if where := (*yamlError)(nil); errors.As(err, &where) {
		at.line = where.line
	}
	if syntax := (*yaml.SyntaxError)(nil); errors.As(err, &syntax) {
		at.line, err = lineOf(syntax.Token), errors.New(syntax.Message)
	}
	faults.add(at, "correct the YAML there", "not YAML that can be used: %v", err)
	return nil
}

func parseYAML(src []byte) (n *node, err error) {
	// The parser is somebody else's and the text is anybody's: should one make
	// the other panic, then it is the text that is refused.
	defer func() {
		if p := recover(); p != nil {
			n, err = nil, fmt.Errorf("the parser gave up: %v", p)
		}
	}()
	if err := checkNesting(src); err != nil {
		return nil, err
	}
	file, err := parser.ParseBytes(src, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, err
	}
	var body ast.Node
	for _, doc := range file.Docs {
		if doc.Body == nil || isComment(doc.Body) {
			continue
		}
		if body != nil {
			return nil, &yamlError{lineOf(doc.Body.GetToken()), "there is a second document"}
		}
		body = doc.Body
	}
	if body == nil {
		return &node{kind: null, line: 1}, nil
	}
	r := &yamlReader{anchors: map[string]ast.Node{}}
	return r.node(body, 0)
}

func isComment(n ast.Node) bool { _, ok := n.(*ast.CommentGroupNode); return ok }

// checkNesting keeps the parser, which recurses, from running out of stack.
func checkNesting(src []byte) error {
	depth := 0
	for i, line := range bytes.Split(src, []byte("\n")) {
		for _, b := range line {
			switch b {
			case '[', '{':
				depth++
			case ']', '}':
				depth = max(depth-1, 0)
			}
		}
		if depth > maxOpenBrackets || leadingIndicators(line) > maxNesting {
			return &yamlError{i + 1, fmt.Sprintf("nested more than %d deep", maxNesting)}
		}
	}
	return nil
}

// maxOpenBrackets is above maxNesting, because brackets in strings count too.
const maxOpenBrackets = 2_000

// leadingIndicators counts the "- " and "? " that a line begins with: each
// opens a level.
func leadingIndicators(line []byte) int {
	n := 0
	for _, field := range bytes.Fields(line) {
		if len(field) != 1 || field[0] != '-' && field[0] != '?' && field[0] != ':' {
			break
		}
		n++
	}
	return n
}

func lineOf(t *token.Token) int {
	if t == nil || t.Position == nil {
		return 0
	}
	return t.Position.Line
}

func (r *yamlReader) node(n ast.Node, depth int) (*node, error) {
	line := 0
	if n != nil {
		line = lineOf(n.GetToken())
	}
	if r.nodes++; r.nodes > maxNodes {
		return nil, &yamlError{line, fmt.Sprintf("more than %d values, anchors expanded", maxNodes)}
	}
	if depth > maxNesting {
		return nil, &yamlError{line, fmt.Sprintf("nested more than %d deep", maxNesting)}
	}
	switch v := n.(type) {
	case *ast.MappingNode:
		return r.mapping(line, v.Values, depth)
	case *ast.MappingValueNode:
		return r.mapping(line, []*ast.MappingValueNode{v}, depth)
	case *ast.SequenceNode:
		return r.list(line, v.Values, depth)
	case *ast.AnchorNode:
		value, err := r.node(v.Value, depth+1)
		if err == nil {
			// Known only from here on, so that no anchor can contain itself.
			r.anchors[v.Name.GetToken().Value] = v.Value
		}
		return value, err
	case *ast.AliasNode:
		target, ok := r.anchors[v.Value.GetToken().Value]
		if !ok {
			return nil, &yamlError{line, fmt.Sprintf("no anchor &%s before this", v.Value.GetToken().Value)}
		}
		return r.node(target, depth+1)
	case *ast.TagNode:
		return nil, &yamlError{line, fmt.Sprintf("tag %s: tags mean nothing here", v.GetToken().Value)}
	default:
		return scalar(n, line)
	}
}

func scalar(n ast.Node, line int) (*node, error) {
	switch v := n.(type) {
	case nil, *ast.NullNode:
		return &node{kind: null, line: line}, nil
	case *ast.StringNode:
		return &node{kind: text, text: v.Value, line: line}, nil
	case *ast.LiteralNode:
		return &node{kind: text, text: v.Value.Value, line: line}, nil
	case *ast.BoolNode:
		return &node{kind: boolean, text: v.GetToken().Value, line: line}, nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return &node{kind: number, text: v.GetToken().Value, line: line}, nil
	default:
		return nil, &yamlError{line, fmt.Sprintf("%s means nothing here", n.Type())}
	}
}

func (r *yamlReader) list(line int, values []ast.Node, depth int) (*node, error) {
	n := &node{kind: list, line: line}
	for _, v := range values {
		item, err := r.node(v, depth+1)
		if err != nil {
			return nil, err
		}
		n.items = append(n.items, item)
	}
	return n, nil
}

func (r *yamlReader) mapping(line int, values []*ast.MappingValueNode, depth int) (*node, error) {
	n := &node{kind: mapping, line: line}
	var merged []pair
	for _, v := range values {
		value, err := r.node(v.Value, depth+1)
		if err != nil {
			return nil, err
		}
		if v.Key.IsMergeKey() {
			more, err := mergeable(value)
			if err != nil {
				return nil, err
			}
			merged = append(merged, more...)
			continue
		}
		key, err := scalarKey(v.Key)
		if err != nil {
			return nil, err
		}
		n.pairs = append(n.pairs, pair{key: key, line: lineOf(v.Key.GetToken()), value: value})
	}
	return n.merge(merged), nil
}

func scalarKey(k ast.MapKeyNode) (string, error) {
	s, err := scalar(k, lineOf(k.GetToken()))
	if err != nil || s.kind == null {
		return "", &yamlError{lineOf(k.GetToken()), "a key that is no string"}
	}
	return s.text, nil
}

// mergeable returns what "<<: value" brings in.
func mergeable(value *node) ([]pair, error) {
	if value.kind == mapping {
		return value.pairs, nil
	}
	var pairs []pair
	for _, item := range value.items {
		if item.kind != mapping {
			return nil, &yamlError{item.line, "<< takes mappings, this is " + item.kind.String()}
		}
		pairs = append(pairs, item.pairs...)
	}
	if pairs == nil {
		return nil, &yamlError{value.line, "<< takes a mapping, this is " + value.kind.String()}
	}
	return pairs, nil
}

// merge adds the pairs whose keys are not there: what a mapping says itself
// wins, and then what was merged first.
func (n *node) merge(more []pair) *node {
	if len(more) == 0 {
		return n
	}
	has := map[string]bool{}
	for _, p := range n.pairs {
		has[p.key] = true
	}
	for _, p := range more {
		if !has[p.key] {
			has[p.key] = true
			n.pairs = append(n.pairs, p)
		}
	}
	return n
}
