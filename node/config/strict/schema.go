package strict

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
)

// Schema is a fragment of JSON Schema.
type Schema map[string]any

// SchemaOf returns the JSON Schema of files that are read into a T, as docs/
// publishes it.
func SchemaOf[T any](title string) ([]byte, error) {
	defs := Schema{}
	root := objectOf(reflect.TypeFor[T](), defs)
	if len(defs) > 0 {
		root["$defs"] = defs
	}
	return root.Published(title)
}

// Published returns a whole schema as docs/ has it.
func (s Schema) Published(title string) ([]byte, error) {
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = title
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(s); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// objectOf is the schema of a struct.
func objectOf(t reflect.Type, defs Schema) Schema {
	properties, required := Schema{}, []string{}
	for _, k := range keysOf(t) {
		properties[k.name] = fieldOf(k.Type, k.Tag, defs)
		if k.needed {
			required = append(required, k.name)
		}
	}
	s := Schema{"type": "object", "additionalProperties": false, "properties": properties}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

// fieldOf is the schema of a value with these tags.
func fieldOf(t reflect.Type, tag reflect.StructTag, defs Schema) Schema {
	s := typeOf(t, defs)
	numeric := t.Kind() == reflect.Int || t.Kind() == reflect.Float64 || s["pattern"] != nil
	if t.Kind() == reflect.String {
		s["minLength"] = 1
	}
	for word, names := range map[string][2]string{"min": {"minimum", "minItems"}, "max": {"maximum", "maxItems"}} {
		if text := tag.Get(word); text != "" {
			name := names[1]
			if numeric {
				name = names[0]
			}
			s[name] = numberOf(text)
		}
	}
	if words := tag.Get("enum"); words != "" {
		s["enum"] = strings.Split(words, ",")
	}
	if doc := tag.Get("doc"); doc != "" {
		s["description"] = doc
	}
	if word := tag.Get("default"); word != "" {
		s["default"] = word
		if t.Kind() == reflect.Int || t.Kind() == reflect.Float64 && s["pattern"] == nil {
			s["default"] = numberOf(word)
		}
	}
	return s
}

// typeOf is the schema of a type alone; structs are put into defs.
func typeOf(t reflect.Type, defs Schema) Schema {
	if one, ok := reflect.New(t).Interface().(Scalar); ok {
		s := one.Schema()
		if t.Kind() == reflect.Struct && hasKeys(t) {
			return Schema{"anyOf": []Schema{s, typeOfStruct(t, defs)}}
		}
		return s
	}
	switch t.Kind() {
	case reflect.Pointer:
		return typeOf(t.Elem(), defs)
	case reflect.Struct:
		return typeOfStruct(t, defs)
	case reflect.Slice:
		s := Schema{"type": "array", "items": typeOf(t.Elem(), defs)}
		if t.Elem().Kind() == reflect.String {
			s["type"], s["minLength"], s["items"] = []string{"array", "string"}, 1, Schema{"type": "string", "minLength": 1}
		}
		return s
	default:
		return Schema{"type": map[reflect.Kind]string{reflect.String: "string", reflect.Int: "integer", reflect.Float64: "number", reflect.Bool: "boolean"}[t.Kind()]}
	}
}

func typeOfStruct(t reflect.Type, defs Schema) Schema {
	name := strings.TrimPrefix(strings.ToLower(t.Name()), "one")
	if defs[name] == nil {
		defs[name] = Schema{} // against a type that holds itself
		defs[name] = objectOf(t, defs)
	}
	return Schema{"$ref": "#/$defs/" + name}
}

// numberOf reads a number of a tag, which is this package's own.
func numberOf(word string) float64 {
	n, err := strconv.ParseFloat(word, 64)
	if err != nil {
		panic("strict: a tag that is no number: " + word)
	}
	return n
}
