package strict

import (
	"reflect"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/buildnet/buildnet/node/config/near"
)

// key is a field of a struct that a file may give.
type key struct {
	reflect.StructField
	name   string
	needed bool
}

// keysOf are the keys of a struct, in their order.
func keysOf(t reflect.Type) []key {
	var keys []key
	for i := range t.NumField() {
		f := t.Field(i)
		if name := f.Tag.Get("yaml"); name != "" {
			_, needed := f.Tag.Lookup("need")
			keys = append(keys, key{f, name, needed})
		}
	}
	return keys
}

// mapping reads the keys of n into a struct, and sets the defaults of those
// that it does not have.
func (r *Reader) mapping(n ast.Node, path string, v reflect.Value) {
	var pairs []*ast.MappingValueNode
	switch m := n.(type) {
	case *ast.MappingNode:
		pairs = m.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{m}
	default:
		r.Add(path, "write a mapping of keys to values", "this is %s", kindOf(n))
		return
	}
	keys := keysOf(v.Type())
	seen := map[string]bool{}
	for _, p := range pairs {
		r.pair(p, path, keys, v, seen)
	}
	for _, k := range keys {
		if !seen[k.name] {
			r.missing(k, path, v.FieldByIndex(k.Index))
		}
	}
}

func (r *Reader) pair(p *ast.MappingValueNode, path string, keys []key, v reflect.Value, seen map[string]bool) {
	name := p.Key.GetToken().Value
	where := strings.TrimPrefix(path+"."+name, ".")
	r.places[where] = p.Key.GetToken().Position
	if seen[name] {
		r.Add(where, "keep one of them", "the key stands here twice")
		return
	}
	seen[name] = true
	var names []string
	for _, k := range keys {
		if names = append(names, k.name); k.name == name {
			r.value(p.Value, where, v.FieldByIndex(k.Index), k.Tag)
			return
		}
	}
	r.Add(where, near.DidYouMean(name, names, "remove it, or use one of "+strings.Join(names, ", ")), "unknown key %q", name)
}

func (r *Reader) missing(k key, path string, v reflect.Value) {
	if k.needed {
		r.Add(path, "add "+k.name, "%s is missing", k.name)
	}
	r.setDefaults(k.Type, k.Tag.Get("default"), v)
}

// setDefaults gives a value that a file leaves out its default, and so its
// fields theirs.
func (r *Reader) setDefaults(t reflect.Type, word string, v reflect.Value) {
	if s, ok := v.Addr().Interface().(Scalar); ok && word != "" {
		if err := s.Set(word); err != nil {
			panic("strict: the default " + word + ": " + err.Error())
		}
		return
	}
	switch {
	case word != "":
		r.plainDefault(word, v)
	case t.Kind() == reflect.Struct:
		for _, k := range keysOf(t) {
			r.setDefaults(k.Type, k.Tag.Get("default"), v.FieldByIndex(k.Index))
		}
	}
}

func (r *Reader) plainDefault(word string, v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(word)
	case reflect.Int:
		v.SetInt(int64(numberOf(word)))
	default:
		v.SetFloat(numberOf(word))
	}
}
