// Package strict reads YAML into structs: what is not known, missing or out of
// bounds is a fault that advises, and all faults are told at once, each with its
// line. The same structs are published as JSON Schema. It is pure. Start reading
// at Reader.Read.
//
// The tags of a field say all: yaml is the key, doc what it means, need marks
// what must be there, min and max bound numbers and the length of lists, enum
// lists the words, default is what stands for a missing key.
package strict

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/buildnet/buildnet/node/config/near"
)

// Scalar is a type whose values a file writes as one word.
type Scalar interface {
	// Set reads the word. Its error says what is wrong with it.
	Set(word string) error
	// Advice is what to write instead.
	Advice() string
	Schema() Schema
}

// Reader fills values and gathers what is wrong.
type Reader struct {
	name   string
	limit  int // of a file, in bytes
	faults []Fault
	// places is where each key stands, by its path.
	places map[string]*token.Position
}

// New returns a Reader of one file of at most limit bytes. name is the file's,
// for faults.
func New(name string, limit int) *Reader {
	return &Reader{name: name, limit: limit, places: map[string]*token.Position{}}
}

// Read fills the struct that into points to with the one document of src, and
// with defaults. What is wrong is in Err.
func (r *Reader) Read(src []byte, into any) {
	if body := r.parse(src); body != nil {
		r.value(body, "", reflect.ValueOf(into).Elem(), "")
	}
}

// Add notes that something is wrong with the value at path, and what to do.
func (r *Reader) Add(path, do, what string, args ...any) {
	f := Fault{File: r.name, Path: path, What: fmt.Sprintf(what, args...), Do: do}
	for at := path; f.Line == 0; at = at[:max(0, strings.LastIndexAny(at, ".["))] {
		if p := r.places[at]; p != nil {
			f.Line, f.Column = p.Line, p.Column
		}
		if at == "" {
			break
		}
	}
	r.faults = append(r.faults, f)
}

// Err returns the faults in the order of the file, as *Faults, or nil.
func (r *Reader) Err() error {
	if len(r.faults) == 0 {
		return nil
	}
	slices.SortStableFunc(r.faults, func(a, b Fault) int { return cmp.Or(a.Line-b.Line, a.Column-b.Column) })
	return &Faults{List: slices.Compact(r.faults)}
}

// Limits of nesting: the deepest format nests four deep.
const (
	maxNesting  = 20
	maxBrackets = 100
)

// parse returns the one document of src; nil with a fault if there is none.
func (r *Reader) parse(src []byte) (body ast.Node) {
	// The parser is somebody else's and the text is anybody's: should one make
	// the other panic, then it is the text that is refused.
	defer func() {
		if p := recover(); p != nil {
			r.Add("", "correct the YAML", "not YAML that can be used: the parser gave up: %v", p)
			body = nil
		}
	}()
	if len(src) > r.limit {
		r.Add("", "write less", "the file has %d bytes, the limit is %d", len(src), r.limit)
		return nil
	}
	if deep(src) {
		r.Add("", "write it flat", "the file nests too deep")
		return nil
	}
	f, err := parser.ParseBytes(src, 0, parser.AllowDuplicateMapKey())
	if syntax := (*yaml.SyntaxError)(nil); errors.As(err, &syntax) {
		if syntax.Token != nil {
			r.places[""] = syntax.Token.Position
		}
		err = errors.New(syntax.Message)
	}
	if err != nil {
		r.Add("", "correct the YAML there", "not YAML: %v", err)
		return nil
	}
	for _, doc := range f.Docs {
		if _, comment := doc.Body.(*ast.CommentGroupNode); comment || doc.Body == nil {
			continue
		}
		if body != nil {
			r.Add("", "remove what follows the first ---", "there is a second document")
			return nil
		}
		body = doc.Body
	}
	if body == nil {
		r.Add("", "begin with \"version: 1\"", "the file is empty")
	}
	return body
}

// deep keeps the parser, which recurses, from running out of stack.
func deep(src []byte) bool {
	open := 0
	for line := range strings.Lines(string(src)) {
		indicators := 0
		for _, f := range strings.Fields(line) {
			if f != "-" && f != "?" && f != ":" {
				break
			}
			indicators++
		}
		open += strings.Count(line, "[") + strings.Count(line, "{")
		open = max(0, open-strings.Count(line, "]")-strings.Count(line, "}"))
		if indicators > maxNesting || open > maxBrackets || strings.Count(line, "[")+strings.Count(line, "{") > maxBrackets && open > maxNesting {
			return true
		}
	}
	return false
}

// value reads n into v.
func (r *Reader) value(n ast.Node, path string, v reflect.Value, tag reflect.StructTag) {
	if n == nil || n.Type() == ast.NullType {
		r.Add(path, "give it one, or remove the key", "the key has no value")
		return
	}
	if s, ok := v.Addr().Interface().(Scalar); ok && (v.Kind() != reflect.Struct || isWord(n) || !hasKeys(v.Type())) {
		r.scalar(n, path, s, tag)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		r.value(n, path, v.Elem(), tag)
	case reflect.Struct:
		r.mapping(n, path, v)
	case reflect.Slice:
		r.list(n, path, v, tag)
	default:
		r.plain(n, path, v, tag)
	}
}

func isWord(n ast.Node) bool { _, ok := n.(ast.ScalarNode); return ok }

func hasKeys(t reflect.Type) bool { return len(keysOf(t)) > 0 }

// word returns a scalar as it was written.
func (r *Reader) word(n ast.Node, path, advice string) (string, bool) {
	switch v := n.(type) {
	case *ast.StringNode:
		return v.Value, true
	case *ast.LiteralNode:
		return v.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		r.Add(path, "write it out", "anchors, aliases and tags mean nothing here")
	default:
		r.Add(path, advice, "this is %s", kindOf(n))
	}
	return "", false
}

func kindOf(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.StringNode, *ast.LiteralNode:
		return "a string"
	default:
		return strings.ToLower(n.Type().String())
	}
}

func (r *Reader) scalar(n ast.Node, path string, s Scalar, tag reflect.StructTag) {
	word, ok := r.word(n, path, s.Advice())
	if !ok {
		return
	}
	if err := s.Set(word); err != nil {
		r.Add(path, s.Advice(), "%v", err)
		return
	}
	if b, ok := s.(interface{ Bounds() (least, most float64) }); ok {
		least, most := b.Bounds()
		r.bound(path, tag, least, "is")
		r.bound(path, tag, most, "is")
	}
}

// plain reads strings, numbers and booleans.
func (r *Reader) plain(n ast.Node, path string, v reflect.Value, tag reflect.StructTag) {
	advice := map[reflect.Kind]string{reflect.String: "write a string", reflect.Int: "write a whole number", reflect.Float64: "write a number", reflect.Bool: "write true or false"}[v.Kind()]
	word, ok := r.word(n, path, advice)
	if !ok {
		return
	}
	var err error
	switch v.Kind() {
	case reflect.String:
		r.text(n, path, word, v, tag)
		return
	case reflect.Bool:
		var b bool
		b, err = strconv.ParseBool(word)
		v.SetBool(b)
	case reflect.Int:
		var i int64
		i, err = strconv.ParseInt(word, 10, 32)
		v.SetInt(i)
		r.bound(path, tag, float64(i), "is")
	default:
		var f float64
		f, err = strconv.ParseFloat(word, 64)
		v.SetFloat(f)
		r.bound(path, tag, f, "is")
	}
	if err != nil {
		r.Add(path, advice, "this is %q", word)
	}
}

func (r *Reader) text(n ast.Node, path, word string, v reflect.Value, tag reflect.StructTag) {
	if words := tag.Get("enum"); words != "" && !slices.Contains(strings.Split(words, ","), word) {
		all := strings.Split(words, ",")
		r.Add(path, near.DidYouMean(word, all, "write one of "+strings.Join(all, ", ")), "%q is not known", word)
		return
	}
	if kindOf(n) != "a string" || word == "" {
		r.Add(path, "write a string", "this is %q, which is no name", word)
		return
	}
	v.SetString(word)
}

// bound checks a number against the tags min and max.
func (r *Reader) bound(path string, tag reflect.StructTag, x float64, verb string) {
	if low, err := strconv.ParseFloat(tag.Get("min"), 64); err == nil && !(x >= low) {
		r.Add(path, "write at least "+tag.Get("min"), "it %s %g", verb, x)
	}
	if high, err := strconv.ParseFloat(tag.Get("max"), 64); err == nil && x > high {
		r.Add(path, "write at most "+tag.Get("max"), "it %s %g", verb, x)
	}
}

func (r *Reader) list(n ast.Node, path string, v reflect.Value, tag reflect.StructTag) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		if _, ok := n.(*ast.StringNode); ok && v.Type().Elem().Kind() == reflect.String {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1)) // one needs no brackets
			r.plain(n, path, v.Index(0), "")
			return
		}
		r.Add(path, "write a list", "this is %s", kindOf(n))
		return
	}
	r.bound(path, tag, float64(len(seq.Values)), "has a length of")
	for i, item := range seq.Values {
		where := fmt.Sprintf("%s[%d]", path, i)
		if item != nil && item.GetToken() != nil {
			r.places[where] = item.GetToken().Position
		}
		one := reflect.New(v.Type().Elem()).Elem()
		r.value(item, where, one, "")
		v.Set(reflect.Append(v, one))
	}
}
