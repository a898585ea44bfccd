package config

import (
	"errors"
	"fmt"
	"path/filepath"
)

// REAPI is how this node serves clients of the Remote Execution API. Zero is for
// this machine alone.
type REAPI struct {
	// Listen is HOST:PORT, ReapiOff for none, or "" for the default.
	Listen string
	// Uploads say for whom results are kept that clients bring; "" is UploadsHere.
	Uploads Uploads
	// Cert and Key are files in PEM; both or none.
	Cert, Key string
	Keys      []REAPIKey
}

// REAPIKey is one client's.
type REAPIKey struct {
	Name   string `yaml:"name"`
	Secret string `yaml:"secret"`
	// Writer clients may say what came of actions that were not executed here.
	Writer bool `yaml:"writer"`
}

// ReapiOff as REAPI.Listen serves nobody.
const ReapiOff = "off"

// DefaultREAPI is where clients of the Remote Execution API look for a server.
const DefaultREAPI = "127.0.0.1:9877"

// Uploads is for whom results are kept that clients bring.
type Uploads string

// The values of Uploads.
const (
	UploadsOff  Uploads = "off"
	UploadsHere Uploads = "node" // clients of this node; "" is the same
	UploadsMesh Uploads = "mesh" // all members that take results of reduced isolation
)

// reapiFile is the form of REAPI in node.yaml.
type reapiFile struct {
	Listen  string  `yaml:"listen"`
	Uploads Uploads `yaml:"uploads"`
	TLS     struct {
		Cert string `yaml:"cert"`
		Key  string `yaml:"key"`
	} `yaml:"tls"`
	Keys []REAPIKey `yaml:"keys"`
}

func (f *reapiFile) parse() (REAPI, error) {
	r := REAPI{Listen: f.Listen, Uploads: f.Uploads, Cert: f.TLS.Cert, Key: f.TLS.Key, Keys: f.Keys}
	var errs []error
	switch r.Uploads {
	case "", UploadsOff, UploadsHere, UploadsMesh:
	default:
		errs = append(errs, fmt.Errorf("reapi.uploads: %q is none of off, node and mesh", r.Uploads))
	}
	if (r.Cert == "") != (r.Key == "") {
		errs = append(errs, errors.New("reapi.tls: a certificate needs its key, and a key its certificate: give both files"))
	}
	for _, path := range []string{r.Cert, r.Key} {
		if path != "" && !filepath.IsAbs(path) {
			errs = append(errs, fmt.Errorf("reapi.tls: %q is not an absolute path", path))
		}
	}
	return r, errors.Join(errs...)
}
