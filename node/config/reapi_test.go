package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWhoIsServedOfTheRemoteExecutionAPI(t *testing.T) {
	for text, want := range map[string]REAPI{
		"":                                      {},
		"reapi: {listen: off, uploads: mesh}\n": {Listen: ReapiOff, Uploads: UploadsMesh},
		"reapi:\n  tls: {cert: /c, key: /k}\n  keys: [{name: ci, secret: s, writer: true}]\n": {
			Cert: "/c", Key: "/k", Keys: []REAPIKey{{Name: "ci", Secret: "s", Writer: true}},
		},
	} {
		s, err := parseSettings([]byte(text))
		if err != nil {
			t.Errorf("%q: %v", text, err)
		} else if diff := cmp.Diff(want, s.REAPI); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
	for _, text := range []string{
		"reapi: {uploads: everywhere}\n", "reapi: {tls: {cert: /c}}\n", "reapi: {tls: {cert: c, key: /k}}\n", "reapi: {port: 1}\n",
	} {
		if _, err := parseSettings([]byte(text)); err == nil || !strings.Contains(err.Error(), "reapi") && !strings.Contains(err.Error(), "port") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
