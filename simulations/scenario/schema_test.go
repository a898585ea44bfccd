package scenario_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/buildnet/buildnet/node/config/strict"
	"github.com/buildnet/buildnet/simulations/scenario"
)

const schemaFile = "../../docs/simulation.schema.json"

var update = flag.Bool("update", false, "write the published schema anew")

func TestThePublishedSchemaIsThatOfTheCode(t *testing.T) {
	want, err := scenario.Schema()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(schemaFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(schemaFile)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is out of date (%v): run go test ./simulations/scenario -run Schema -update", schemaFile, err)
	}
}

// rich says something with every key.
const rich = `
version: 1
name: rich
description: a bit of everything
cell: 10
flaky: 0.01
sites:
  - name: a
    count: 5
    machines:
      - {count: 2, bpu: 0.5..2, slots: 4, toolchains: [gcc], skew: 0s..1s, late: 0}
      - {bpu: 1, slots: 2..4, late: 1s..2s}
    lan: {latency: 1ms, jitter: 0, bandwidth: 12MB, loss: 0.1, duplication: 0.1, reordering: 0.1}
  - {name: b, machines: [{}]}
links:
  - {between: [a, b], latency: 20ms, jitter: 1ms, bandwidth: 100 Mbit, loss: 0.1, duplication: 0.1, reordering: 0.1}
churn: {share: 0.5, away: 1s..2s, from: 1s, for: 10s}
faults:
  - kill leader@50% for 5s
  - {do: slow, to: worker, build: x, share: 0.5, for: 5s, factor: 0.1}
  - {do: split, group: [b, a-1], at: 2s, one_way: true}
  - {do: split, to: worker, at: 2s, deaf: true}
builds:
  - {name: x, count: 1, shape: layers, steps: 10..20, width: 3, cost: 1, known: 0.5, inputs: 10, outputs: 1KiB..2MB, at: 1s, from: a,
     shared: 0.5, toolchain: gcc, here: 0.1, failing: 0.1, killing: 0.1, careless: 0.1, losing: 0.1, keep_going: true, force: false, local: false, jobs: 3}
  - {name: y, per: 3, shape: chain, steps: 4}
limits: {heal: 1m, run: 5m}
`

func decode(t *testing.T, src []byte) any {
	t.Helper()
	asJSON, err := yaml.YAMLToJSON(src)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(asJSON, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func publishedSchema(t *testing.T) map[string]any {
	t.Helper()
	src, err := scenario.Schema()
	if err != nil {
		t.Fatal(err)
	}
	var root map[string]any
	if err := json.Unmarshal(src, &root); err != nil {
		t.Fatal(err)
	}
	return root
}

func TestScenariosAreOfTheSchema(t *testing.T) {
	root := publishedSchema(t)
	files := map[string][]byte{"rich": []byte(rich)}
	for _, s := range scenario.Builtins() {
		src, err := scenario.Source(s.Name())
		if err != nil {
			t.Fatal(err)
		}
		files[s.Name()] = src
	}
	for name, src := range files {
		if err := conforms(root, root, decode(t, src)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := scenario.Load(src, name+".yaml"); err != nil {
			t.Error(err)
		}
	}
}

// TestSchemaAndDecoderRefuseTheSame breaks each value of a file in every way,
// one at a time.
func TestSchemaAndDecoderRefuseTheSame(t *testing.T) {
	root, n := publishedSchema(t), 0
	value := decode(t, []byte(rich))
	eachWrong(value, func(v any) { value = v }, func(how string) {
		src, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		bySchema := conforms(root, root, value)
		_, byDecoder := scenario.Load(src, "x.yaml")
		n++
		if (bySchema == nil) != (byDecoder == nil) {
			t.Errorf("%s: the schema says %v, the decoder %v", how, bySchema, byDecoder)
		}
		if faults := (*strict.Faults)(nil); byDecoder != nil && !errors.As(byDecoder, &faults) {
			t.Errorf("%s: %T", how, byDecoder)
		}
	})
	if n < 500 {
		t.Errorf("only %d ways", n)
	}
}

// eachWrong sets every value of a tree to others in turn, calls f, and puts it
// back. What is changed so that only names no longer fit is left out: a schema
// knows no names.
func eachWrong(v any, set func(any), f func(how string)) {
	for _, wrong := range []any{map[string]any{"x": 1.0}, []any{[]any{}}, true, -1.0, 1e12, 0.5, "", "20 parsecs", nil} {
		if list, ok := v.([]any); ok {
			if s, ok := wrong.(string); ok && s != "" && len(list) > 0 && fmt.Sprintf("%T", list[0]) == "string" {
				continue
			}
		}
		if s, ok := v.(string); ok && namelike.MatchString(s) && wrong == "20 parsecs" {
			continue
		}
		set(wrong)
		f(fmt.Sprintf("%v for %v", wrong, v))
	}
	set(v)
	switch v := v.(type) {
	case map[string]any:
		v["colour"] = "red"
		f("a key too many")
		delete(v, "colour")
		for _, key := range slices.Sorted(keys(v)) {
			eachWrong(v[key], func(x any) { v[key] = x }, func(how string) { f(key + ": " + how) })
		}
	case []any:
		for i := range v {
			eachWrong(v[i], func(x any) { v[i] = x }, func(how string) { f(fmt.Sprint(i, ": ", how)) })
		}
	}
}

// namelike are names and lines of faults.
var namelike = regexp.MustCompile(`^(rich|a|b|x|y|a-1|gcc|worker|a bit of everything|kill .*)$`)

func keys(m map[string]any) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// conforms checks a value against the part of JSON Schema that the published
// schema uses.
func conforms(root, schema map[string]any, value any) error {
	if r, ok := schema["$ref"].(string); ok {
		return conforms(root, root["$defs"].(map[string]any)[strings.TrimPrefix(r, "#/$defs/")].(map[string]any), value)
	}
	if ways, ok := schema["anyOf"].([]any); ok {
		var errs []error
		for _, one := range ways {
			err := conforms(root, one.(map[string]any), value)
			if err == nil {
				return nil
			}
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	}
	if err := conformsScalar(schema, value); err != nil {
		return err
	}
	switch v := value.(type) {
	case map[string]any:
		return conformsObject(root, schema, v)
	case []any:
		if err := within(schema, "minItems", "maxItems", float64(len(v))); err != nil {
			return err
		}
		for _, item := range v {
			if err := conforms(root, schema["items"].(map[string]any), item); err != nil {
				return err
			}
		}
	}
	return nil
}

func within(schema map[string]any, low, high string, x float64) error {
	if least, ok := schema[low].(float64); ok && x < least {
		return fmt.Errorf("%v is below %v", x, least)
	}
	if most, ok := schema[high].(float64); ok && x > most {
		return fmt.Errorf("%v is above %v", x, most)
	}
	return nil
}

func conformsScalar(schema map[string]any, value any) error {
	is := []string{"null"}
	switch v := value.(type) {
	case map[string]any:
		is = []string{"object"}
	case []any:
		is = []string{"array"}
	case string:
		is = []string{"string"}
		if p, ok := schema["pattern"].(string); ok && !regexp.MustCompile(p).MatchString(v) {
			return fmt.Errorf("%q does not match %s", v, p)
		}
		if least, ok := schema["minLength"].(float64); ok && float64(len(v)) < least {
			return fmt.Errorf("%q is too short", v)
		}
	case bool:
		is = []string{"boolean"}
	case float64:
		is = []string{"number"}
		if v == float64(int64(v)) {
			is = append(is, "integer")
		}
		if err := within(schema, "minimum", "maximum", v); err != nil {
			return err
		}
	}
	if enum, ok := schema["enum"].([]any); ok && !slices.Contains(enum, value) {
		return fmt.Errorf("%v is not one of %v", value, enum)
	}
	types, ok := schema["type"].([]any)
	if one, is := schema["type"].(string); is {
		types, ok = []any{one}, true
	}
	if ok && !slices.ContainsFunc(types, func(t any) bool { return slices.Contains(is, t.(string)) }) {
		return fmt.Errorf("%v is not of type %v", value, types)
	}
	return nil
}

func conformsObject(root, schema, value map[string]any) error {
	properties, _ := schema["properties"].(map[string]any)
	for key, v := range value {
		property, known := properties[key].(map[string]any)
		if !known {
			return fmt.Errorf("unknown key %s", key)
		}
		if err := conforms(root, property, v); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	required, _ := schema["required"].([]any)
	for _, key := range required {
		if _, there := value[key.(string)]; !there {
			return fmt.Errorf("%v is missing", key)
		}
	}
	return nil
}
