package project

import "github.com/buildnet/buildnet/node/config/strict"

// schema is a fragment of JSON Schema.
type schema = strict.Schema

func ref(name string) schema { return schema{"$ref": "#/$defs/" + name} }

func stringsSchema(description string) schema {
	return schema{"type": "array", "items": schema{"type": "string"}, "description": description}
}

func globSchema(description string) schema {
	return schema{"type": []string{"string", "array"}, "items": schema{"type": "string"}, "description": description}
}

func commandSchema(description string) schema {
	return schema{"type": []string{"string", "array"}, "items": schema{"type": []string{"string", "number", "boolean"}}, "minItems": 1, "description": description}
}

// Schema returns the JSON Schema of a configuration, as docs/ publishes it.
func Schema() ([]byte, error) {
	root := object(topFields, "version", "packages")
	pkg := object(packageFields, "name")
	pkg["oneOf"] = []schema{{"required": []string{"build_cmd"}}, {"required": []string{"steps"}}}
	root["$defs"] = schema{
		"package":  pkg,
		"step":     object(stepFields, "run"),
		"hooks":    object(hookFields),
		"platform": object(platformFields),
	}
	return root.Published("BuildNet project configuration (.buildnet/config.yaml)")
}

func object[T any](fields []field[T], required ...string) schema {
	properties := schema{}
	for _, f := range fields {
		properties[f.name] = f.schema
	}
	s := schema{"type": "object", "additionalProperties": false, "properties": properties}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}
