package api

import "io"

// DecodeBuild decodes and checks a build's request.
func DecodeBuild(r io.Reader) (q BuildRequest, err error) {
	if err = decode(r, &q); err == nil {
		err = q.check()
	}
	return q, err
}

// Limit has a listener take fewer connections than it would.
func (l *Listener) Limit(each, all int) {
	c := l.unix.(*crowd)
	c.each, c.all = each, all
}
