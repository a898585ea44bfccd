package api

import "io"

// DecodeBuild decodes and checks a build's request.
func DecodeBuild(r io.Reader) (q BuildRequest, err error) {
	if err = decode(r, &q); err == nil {
		err = q.check()
	}
	return q, err
}
