package project_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/buildnet/buildnet/node/project"
)

const (
	docsFile   = "../../docs/config.md"
	schemaFile = "../../docs/config.schema.json"
)

var update = flag.Bool("update", false, "write the published schema anew")

func TestThePublishedSchemaIsThatOfTheCode(t *testing.T) {
	want, err := project.Schema()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(schemaFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is out of date: run go test ./node/project -run Schema -update", schemaFile)
	}
}

// example is a YAML block of the documentation.
type example struct {
	line   int
	info   string // what follows ```yaml
	files  []string
	config string
	text   string // the text block that follows a wrong example
}

func examples(t *testing.T) []example {
	t.Helper()
	src, err := os.ReadFile(docsFile)
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?ms)^<!-- files: ([^\n]*) -->\n```yaml ?(\\w*)\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?")
	var all []example
	for _, m := range block.FindAllSubmatchIndex(src, -1) {
		group := func(i int) string {
			if m[2*i] < 0 {
				return ""
			}
			return string(src[m[2*i]:m[2*i+1]])
		}
		all = append(all, example{
			line: bytes.Count(src[:m[0]], []byte("\n")) + 2, info: group(2),
			files: strings.Fields(group(1)), config: whole(group(2), group(3)), text: group(4),
		})
	}
	if n := strings.Count(string(src), "```yaml"); n != len(all) {
		t.Fatalf("%d examples, but %d with a comment that names their files", n, len(all))
	}
	return all
}

// whole makes a configuration of an example that shows a part of one.
func whole(info, body string) string {
	indented := func(by string) string {
		return by + strings.ReplaceAll(strings.TrimSuffix(body, "\n"), "\n", "\n"+by) + "\n"
	}
	switch info {
	case "package":
		return one(indented("    "))
	case "steps":
		return one("    steps:\n" + indented("      "))
	default:
		return body
	}
}

func TestEveryExampleOfTheDocumentationIsPlanned(t *testing.T) {
	for _, e := range examples(t) {
		t.Run(fmt.Sprintf("Line%d", e.line), func(t *testing.T) {
			p, err := plan(t, e.config, e.files...)
			if e.info == "wrong" {
				if diff := cmp.Diff(e.text, strings.Join(faultsOf(t, err), "\n")+"\n"); diff != "" {
					t.Error(diff)
				}
				return
			}
			if err != nil {
				t.Fatalf("%v\n%s", err, e.config)
			}
			checkValid(t, p)
		})
	}
}

func TestEveryExampleOfTheDocumentationIsOfTheSchema(t *testing.T) {
	src, err := project.Schema()
	if err != nil {
		t.Fatal(err)
	}
	var root map[string]any
	if err := json.Unmarshal(src, &root); err != nil {
		t.Fatal(err)
	}
	for _, e := range examples(t) {
		asJSON, err := yaml.YAMLToJSON([]byte(e.config))
		if err != nil {
			t.Fatal(err)
		}
		var value any
		if err := json.Unmarshal(asJSON, &value); err != nil {
			t.Fatal(err)
		}
		if err := conforms(root, root, value); (err == nil) != (e.info != "wrong") {
			t.Errorf("line %d: %v", e.line, err)
		}
	}
}

func TestEveryKeyIsDocumented(t *testing.T) {
	docs, err := os.ReadFile(docsFile)
	if err != nil {
		t.Fatal(err)
	}
	src, err := project.Schema()
	if err != nil {
		t.Fatal(err)
	}
	var root map[string]any
	if err := json.Unmarshal(src, &root); err != nil {
		t.Fatal(err)
	}
	objects := []any{root}
	for _, d := range root["$defs"].(map[string]any) {
		objects = append(objects, d)
	}
	for _, o := range objects {
		for key := range o.(map[string]any)["properties"].(map[string]any) {
			if !bytes.Contains(docs, []byte("`"+key+"`")) {
				t.Errorf("docs/config.md does not explain %s", key)
			}
			if !regexp.MustCompile(`(?m)[\s{-]` + key + `:`).Match(docs) {
				t.Errorf("docs/config.md has no example of %s", key)
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
	if err := conformsType(schema, value); err != nil {
		return err
	}
	switch v := value.(type) {
	case map[string]any:
		return conformsObject(root, schema, v)
	case []any:
		items, _ := schema["items"].(map[string]any)
		for _, item := range v {
			if err := conforms(root, items, item); err != nil {
				return err
			}
		}
	case string:
		if p, ok := schema["pattern"].(string); ok && !regexp.MustCompile(p).MatchString(v) {
			return fmt.Errorf("%q does not match %s", v, p)
		}
	}
	return nil
}

func conformsType(schema map[string]any, value any) error {
	if want, ok := schema["const"]; ok && want != value {
		return fmt.Errorf("%v is not %v", value, want)
	}
	if want, ok := schema["enum"]; ok && !strings.Contains(fmt.Sprint(want), fmt.Sprint(value)) {
		return fmt.Errorf("%v is not one of %v", value, want)
	}
	is := "boolean"
	switch value.(type) {
	case map[string]any:
		is = "object"
	case []any:
		is = "array"
	case string:
		is = "string"
	case float64:
		is = "number integer"
	}
	want, ok := schema["type"]
	if !ok {
		return nil
	}
	for _, one := range strings.Fields(is) {
		if strings.Contains(fmt.Sprint(want), one) {
			return nil
		}
	}
	return fmt.Errorf("%v is not of type %v", value, want)
}

func conformsObject(root, schema, value map[string]any) error {
	properties, _ := schema["properties"].(map[string]any)
	for key, v := range value {
		property, known := properties[key].(map[string]any)
		if !known {
			var open bool
			if property, open = schema["additionalProperties"].(map[string]any); !open {
				return fmt.Errorf("unknown key %s", key)
			}
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
