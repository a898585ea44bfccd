package ninja

import "testing"

// TestJSONEscapes covers ninja's json_test.
func TestJSONEscapes(t *testing.T) {
	for in, want := range map[string]string{
		"plain text":        "plain text",
		"\"\\\b\f\n\r\t":    `\"\\\b\f\n\r\t`,
		"a\x01b\x1fc\x7f":   `a\u0001b\u001f` + "c\x7f",
		"ä\xe4\xbd\xa0":     "ä\xe4\xbd\xa0",
		"no UTF-8 \xff\"":   "no UTF-8 \xff" + `\"`,
		"":                  "",
		"\x00":              `\u0000`,
		"c++ -DX='\"a b\"'": `c++ -DX='\"a b\"'`,
	} {
		if got := jsonEscaped(in); got != want {
			t.Errorf("jsonEscaped(%q) = %s, want %s", in, got, want)
		}
	}
}
