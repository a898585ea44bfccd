package mutants

var functionsOfBlobs = test{"node/reapi/cas", "TestDemand2"}

// REAPI v2, DigestFunction, and the resource names of ContentAddressableStorage.
var naming = []group{
	{2, "node/reapi/names/digest.go", functionsOfBlobs, []mutant{
		{"an unset function is SHA-256", `case repb.DigestFunction_UNKNOWN, repb.DigestFunction_SHA256:`, `case repb.DigestFunction_SHA256:`},
		{"BLAKE3 can be said", "case repb.DigestFunction_BLAKE3:\n\t\treturn digest.BLAKE3, nil", "case repb.DigestFunction_BLAKE3:\n\t\treturn digest.SHA256, nil"},
		{"other functions are INVALID_ARGUMENT", `return 0, fmt.Errorf("%w: digest function %v, want SHA256 or BLAKE3", ErrMalformed, v)`, `return digest.SHA256, nil`},
		{"a hash of another length is INVALID_ARGUMENT", `return digest.Digest{}, fmt.Errorf("%w: %w", ErrMalformed, err)`, `return digest.Of(fn, nil), nil`},
	}},
	{2, "node/reapi/names/names.go", functionsOfBlobs, []mutant{
		{"BLAKE3 is a segment of a resource name", `if fn, err = digest.ParseFunction(in[0]); err != nil {`, `if _, err = digest.ParseFunction(in[0]); err != nil {`},
		{"without a segment it is SHA-256", `fn := digest.SHA256`, `fn := digest.BLAKE3`},
		{"an instance name may be empty", `if err := CheckInstance(instance); err != nil || at > 0 && instance == "" {`, `if err := CheckInstance(instance); err != nil || instance == "" {`},
		{"an instance name may have several segments", `if err := CheckInstance(instance); err != nil || at > 0 && instance == "" {`, `if err := CheckInstance(instance); err != nil || at > 1 {`},
		{"other resource names are INVALID_ARGUMENT", `return "", nil, malformed(s, "no "+strings.Join(heads, " or ")+" after the instance")`, `return "", nil, errors.New("nobody has said what this is")`},
	}},
	{2, "node/reapi/results/cache.go", part("demand_2"), []mutant{
		{"BLAKE3 can be said of an action", `f, err := names.Function(fn)`, `f, err := names.Function(0 * fn)`},
		{"an instance name that is none is INVALID_ARGUMENT", `if err := names.CheckInstance(instance); err != nil {`, `if err := names.CheckInstance(""); err != nil {`},
		{"an instance has results of its own", `return Key{Action: act, Instance: instance}, err`, `return Key{Action: act}, err`},
	}},
}
