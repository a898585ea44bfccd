package client

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/buildnet/buildnet/node/api"
)

// maxLine bounds one event, in bytes: a failed step's whole output is in it.
const maxLine = 128 << 20

var errLongLine = fmt.Errorf("a line of more than %d bytes", maxLine)

// readLine returns the next line without its end. A last line without an end is
// none: what wrote it died.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return line[:len(line)-1], nil
		case len(line) > maxLine:
			return nil, errLongLine
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(line) > 0:
			return nil, io.ErrUnexpectedEOF
		default:
			return nil, err
		}
	}
}

// kindOf returns the kind of an event, which stands first in its line.
func kindOf(line []byte) string {
	rest, ok := bytes.CutPrefix(line, []byte(`{"event":"`))
	if !ok {
		return ""
	}
	kind, _, _ := bytes.Cut(rest, []byte(`"`))
	return string(kind)
}

func errorOf(body []byte) error {
	var e api.Error
	if err := json.Unmarshal(body, &e); err != nil || e.Message == "" {
		return fmt.Errorf("the node answered with %.200q", body)
	}
	return &e
}

func refusal(resp *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("read the node's refusal (%s): %w", resp.Status, err)
	}
	return errorOf(body)
}

// unwrapURL drops the URL from an error: it says nothing about a socket.
func unwrapURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
